package rego

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"strings"
)

// maxBundleFiles bounds the files of a bundle.
const maxBundleFiles = 10_000

// unpack reads a gzipped tar archive into memory. Nothing of it is believed
// yet: it is bounded, and holds plain files with plain names, each once.
func unpack(data []byte) (map[string][]byte, error) {
	if len(data) > MaxBundle {
		return nil, badBundle("broken", "it is larger than %d bytes", MaxBundle)
	}
	zr, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, badBundle("broken", "it is no gzipped archive: %v", err)
	}
	files, room := map[string][]byte{}, int64(maxSource)
	tr := tar.NewReader(io.LimitReader(zr, maxSource+maxBundleFiles*1024))
	for n := 0; ; n++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, badBundle("broken", "reading its archive: %v", err)
		}
		if n >= maxBundleFiles {
			return nil, badBundle("broken", "it holds more than %d files", maxBundleFiles)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		name := strings.TrimPrefix(strings.TrimPrefix(h.Name, "."), "/")
		if strings.HasPrefix(h.Name, ".") && !strings.HasPrefix(h.Name, "./") {
			name = h.Name // such as .manifest
		}
		switch {
		case h.Typeflag != tar.TypeReg:
			return nil, badBundle("broken", "%.200q in it is not a plain file", h.Name)
		case !fs.ValidPath(name) || strings.ContainsRune(name, '\\'):
			return nil, badBundle("broken", "%.200q is no name of a file", h.Name)
		case files[name] != nil:
			return nil, badBundle("broken", "it holds %s twice", name)
		}
		b, err := io.ReadAll(io.LimitReader(tr, room+1))
		if err != nil {
			return nil, badBundle("broken", "reading its archive: %v", err)
		}
		if room -= int64(len(b)); room < 0 {
			return nil, badBundle("broken", "it is larger than %d bytes when unpacked", int64(maxSource))
		}
		if b == nil {
			b = []byte{}
		}
		files[name] = b
	}
	return files, nil
}

// pack writes files as a gzipped tar archive, the same for the same files.
func pack(files map[string][]byte, order []string) ([]byte, error) {
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	tw := tar.NewWriter(zw)
	for _, name := range order {
		h := &tar.Header{Name: "/" + name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg}
		if err := tw.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := tw.Write(files[name]); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
