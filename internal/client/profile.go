package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// HomeVariable names the environment variable that says where a computer's
// sign-ins are kept; by default in ringfence in the user's configuration folder.
const HomeVariable = "RINGFENCE_HOME"

// KeyringVariable names the environment variable that, set to "off", keeps
// secrets in files even where a keyring works.
const KeyringVariable = "RINGFENCE_KEYRING"

// A Cluster is one that was open when the computer asked last.
type Cluster struct {
	Name  string   `json:"name"`
	Title string   `json:"title"`
	URLs  []string `json:"urls"`
}

// A Profile is what is known of a sign-in at a gate. It holds no secret.
type Profile struct {
	Gate     string        `json:"gate"` // without a trailing slash
	Account  string        `json:"account"`
	Ends     time.Time     `json:"ends"`
	Keyring  bool          `json:"keyring"` // where the secrets are
	CA       string        `json:"ca,omitempty"`
	Ahead    time.Duration `json:"ahead,omitempty"` // how far the gate's clock is ahead of this one
	Clusters []Cluster     `json:"clusters"`
}

func home() (string, error) {
	if dir := os.Getenv(HomeVariable); dir != "" {
		return dir, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("finding the folder for sign-ins: %w: set %s", err, HomeVariable)
	}
	return filepath.Join(dir, "ringfence"), nil
}

func profilePath(gate string) (string, error) {
	dir, err := home()
	if err != nil {
		return "", err
	}
	u, err := url.Parse(gate)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("%q is not the address of a gate", gate)
	}
	return filepath.Join(dir, "gates", strings.NewReplacer(":", "_", "/", "_", "[", "", "]", "").Replace(u.Host)+".json"), nil
}

func (p *Profile) save() error {
	path, err := profilePath(p.Gate)
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return writePrivate(path, append(b, '\n'))
}

// Profiles returns the sign-ins of this computer. One that cannot be read is
// an error.
func Profiles() ([]Profile, error) {
	dir, err := home()
	if err != nil {
		return nil, err
	}
	files, err := os.ReadDir(filepath.Join(dir, "gates"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the sign-ins of this computer: %w", err)
	}
	var out []Profile
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".json") {
			continue
		}
		b, err := readPrivate(filepath.Join(dir, "gates", f.Name()))
		if err != nil {
			return nil, err
		}
		var p Profile
		if err := json.Unmarshal(b, &p); err != nil {
			return nil, fmt.Errorf("reading %s: %w", f.Name(), err)
		}
		out = append(out, p)
	}
	return out, nil
}

// vault returns where the profile's secrets are.
func (p *Profile) vault() (Vault, error) {
	if p.Keyring {
		return systemKeyring{}, nil
	}
	dir, err := home()
	if err != nil {
		return nil, err
	}
	return folder{filepath.Join(dir, "secrets")}, nil
}

// NormalGate returns the address of a gate as profiles name it.
func NormalGate(s string) (string, error) {
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return "", fmt.Errorf("%q is not the address of a gate, such as https://gate.example.com", s)
	}
	return "https://" + strings.TrimSuffix(strings.ToLower(u.Host), ":443"), nil
}
