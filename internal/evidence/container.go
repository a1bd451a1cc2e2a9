package evidence

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path"
	"strings"
)

// A part is one file of a bundle while it is made. Small ones are in memory.
type part struct {
	name string
	size uint64
	crc  uint32
	sum  hash.Hash
	mem  *bytes.Buffer
	file *os.File
}

// Write implements [io.Writer].
func (p *part) Write(b []byte) (int, error) {
	p.sum.Write(b)
	p.crc = crc32.Update(p.crc, crc32.IEEETable, b)
	p.size += uint64(len(b))
	if p.file != nil {
		return p.file.Write(b)
	}
	return p.mem.Write(b)
}

// hexSum is the SHA-256 of what was written.
func (p *part) hexSum() string { return hex.EncodeToString(p.sum.Sum(nil)) }

func smallPart(name string, content []byte) *part {
	p := &part{name: name, sum: sha256.New(), mem: &bytes.Buffer{}}
	_, _ = p.Write(content) // memory takes it
	return p
}

// bigPart is kept in a file of the folder dir until the bundle is put together.
func bigPart(dir, name string) (*part, error) {
	f, err := os.CreateTemp(dir, ".evidence-*")
	if err != nil {
		return nil, fmt.Errorf("making room for a part of the bundle: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil { // it lives as long as it is open
		return nil, errors.Join(err, f.Close())
	}
	return &part{name: name, sum: sha256.New(), file: f}, nil
}

func (p *part) close() {
	if p.file != nil {
		_ = p.file.Close() // it has no name any more
	}
}

// copyTo writes the part's content.
func (p *part) copyTo(w io.Writer) error {
	if p.file == nil {
		_, err := w.Write(p.mem.Bytes())
		return err
	}
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := io.Copy(w, p.file)
	return err
}

// firstDay is 1 January 1980 as archives write it, the earliest date that they have.
const firstDay = 1<<5 | 1

// stored is the one header that a file of given name and content has.
func stored(name string, size uint64, crc uint32) *zip.FileHeader {
	h := &zip.FileHeader{Name: name, Method: zip.Store, CreatorVersion: 20, ReaderVersion: 20, CRC32: crc, CompressedSize64: size, UncompressedSize64: size}
	//lint:ignore SA1019 the newer field adds an extra one to the header
	h.ModifiedDate = firstDay
	return h
}

func writeArchive(out io.Writer, parts []*part) error {
	z := zip.NewWriter(out)
	for _, p := range parts {
		w, err := z.CreateRaw(stored(p.name, p.size, p.crc))
		if err == nil {
			err = p.copyTo(w)
		}
		if err != nil {
			return fmt.Errorf("writing %s: %w", p.name, err)
		}
	}
	return z.Close()
}

// errOtherBytes: an archive is not the one that its contents have.
var errOtherBytes = errors.New("it is not the archive that its contents have: something was added around them, or changed in how they are listed")

// A sameWriter compares what is written with what stands in an archive.
type sameWriter struct {
	r   io.ReaderAt
	off int64
	buf []byte
}

// Write implements [io.Writer].
func (s *sameWriter) Write(b []byte) (int, error) {
	if cap(s.buf) < len(b) {
		s.buf = make([]byte, len(b))
	}
	have := s.buf[:len(b)]
	if n, _ := s.r.ReadAt(have, s.off); n < len(b) || !bytes.Equal(have, b) {
		return 0, errOtherBytes
	}
	s.off += int64(len(b))
	return len(b), nil
}

// maxFiles bounds how many files a bundle has.
const maxFiles = 20_000

// openArchive reads the list of files and checks that the archive is the one
// that they have: other programs show the same as this one, whatever they trust.
func openArchive(r io.ReaderAt, size int64) (map[string]*zip.File, []string, error) {
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, nil, ErrNotBundle
	}
	if len(z.File) == 0 || z.File[0].Name != readmeName {
		return nil, nil, ErrNotBundle
	}
	if len(z.File) > maxFiles {
		return nil, nil, &FaultError{[]string{fmt.Sprintf("The bundle has more than %d files.", maxFiles)}}
	}
	files, names := map[string]*zip.File{}, make([]string, 0, len(z.File))
	same := &sameWriter{r: r}
	again := zip.NewWriter(same)
	for _, f := range z.File {
		if !plainName(f.Name) || files[f.Name] != nil {
			return nil, nil, &FaultError{[]string{fmt.Sprintf("The bundle has a file of a name that none has, or two of one: %q.", clip(f.Name))}}
		}
		files[f.Name], names = f, append(names, f.Name)
		if err := copyRaw(again, f); err != nil {
			return nil, nil, &FaultError{[]string{fmt.Sprintf("The bundle is damaged at the file %s: %v.", f.Name, err)}}
		}
	}
	if err := again.Close(); err != nil || same.off != size {
		return nil, nil, &FaultError{[]string{"The bundle is damaged at its end: " + errOtherBytes.Error() + "."}}
	}
	return files, names, nil
}

func copyRaw(to *zip.Writer, f *zip.File) error {
	if f.Method != zip.Store || f.CompressedSize64 != f.UncompressedSize64 {
		return errOtherBytes
	}
	w, err := to.CreateRaw(stored(f.Name, f.CompressedSize64, f.CRC32))
	if err != nil {
		return err
	}
	r, err := f.OpenRaw()
	if err != nil {
		return errOtherBytes
	}
	_, err = io.Copy(w, r)
	return err
}

// plainName reports whether a name is one that cannot lead out of a folder.
func plainName(name string) bool {
	if name == "" || len(name) > 1024 || path.Clean(name) != name || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "..") || strings.HasSuffix(name, "/") {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`\:*?"<>|`, r) })
}
