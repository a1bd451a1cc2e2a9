package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ringfence/ringfence/internal/directory"
)

// maxSecretFile bounds a file that holds a client secret.
const maxSecretFile = 64 << 10

// readClientSecrets puts the client secrets of identity providers where the
// file only says where they are. Relative paths are meant from the file's
// folder. The secrets are sealed before they reach the store, and exports
// leave them out.
func readClientSecrets(file string, d *directory.Directory) error {
	for i := range d.Vendors {
		v := &d.Vendors[i]
		p := v.IdentityProvider
		if p == nil || p.SecretFile == "" && p.SecretEnv == "" {
			continue
		}
		secret, err := clientSecret(file, p)
		if err != nil {
			return fmt.Errorf("reading the client secret of vendor %s: %w", v.Name, err)
		}
		p.ClientSecret, p.SecretFile, p.SecretEnv = secret, "", ""
	}
	return nil
}

func clientSecret(file string, p *directory.IdentityProvider) (string, error) {
	var secret string
	if p.SecretEnv != "" {
		v, ok := os.LookupEnv(p.SecretEnv)
		if !ok {
			return "", &hintError{fmt.Errorf("the environment has no %s", p.SecretEnv), "Set it for this command, or leave client_secret_env out to keep the secret that is stored."}
		}
		secret = v
	} else {
		path := p.SecretFile
		if !filepath.IsAbs(path) && file != "-" {
			path = filepath.Join(filepath.Dir(file), path)
		}
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		if !info.Mode().IsRegular() || info.Size() > maxSecretFile {
			return "", fmt.Errorf("%s is no file of at most %d KiB", path, maxSecretFile>>10)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		secret = string(b)
	}
	secret = strings.TrimRight(secret, "\r\n")
	if secret == "" {
		return "", errors.New("it is empty")
	}
	return secret, nil
}
