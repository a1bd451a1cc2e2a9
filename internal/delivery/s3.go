package delivery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3Config says where sealed segments, or files of days, are kept. URL, Bucket, Origin and the
// keys are required.
type S3Config struct {
	URL    string // https://host or http://loopback, without the bucket
	TLS    *tls.Config
	Bucket string
	Prefix string // of every name, without a slash at its ends
	Region string // default: asked for
	Origin string // the log's; part of every name
	// AccessKey and SecretKey sign requests. Secret.
	AccessKey, SecretKey string
	// Lock keeps each object from being changed or removed by anybody for so
	// long (Object Lock in compliance mode; the bucket must have it). Danger:
	// nothing takes it back. Default: none.
	Lock time.Duration
	Now  func() time.Time
}

// String shows nothing of an S3Config but where it leads: it holds a secret.
func (c S3Config) String() string { return c.URL + "/" + c.Bucket }

// GoString is as [S3Config.String].
func (c S3Config) GoString() string { return c.String() }

// S3 keeps sealed segments in a bucket.
type S3 struct {
	cfg       S3Config
	client    *minio.Client
	transport *http.Transport
}

// NewS3 connects to nothing.
func NewS3(c S3Config) (*S3, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("configuring S3: %q is not the URL of a store", c.URL)
	}
	if c.Bucket == "" || c.Origin == "" || c.AccessKey == "" || c.SecretKey == "" {
		return nil, errors.New("configuring S3: bucket, origin and keys are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	t, err := minio.DefaultTransport(u.Scheme == "https")
	if err != nil {
		return nil, wrap("configuring S3", err)
	}
	if c.TLS != nil {
		t.TLSClientConfig = c.TLS.Clone()
	}
	client, err := minio.New(u.Host, &minio.Options{Secure: u.Scheme == "https", Transport: t, Region: c.Region,
		Creds: credentials.NewStaticV4(c.AccessKey, c.SecretKey, ""), MaxRetries: 1}) // the worker tries again
	if err != nil {
		return nil, wrap("configuring S3", err)
	}
	return &S3{c, client, t}, nil
}

// Put implements [SegmentSender]. Names are PREFIX/ORIGIN/name.
func (s *S3) Put(ctx context.Context, name string, content []byte) error {
	return s.PutFile(ctx, name, bytes.NewReader(content), int64(len(content)), sha256.Sum256(content))
}

// Remove implements [FileStore].
func (s *S3) Remove(ctx context.Context, name string) error {
	err := s.client.RemoveObject(ctx, s.cfg.Bucket, s.key(name), minio.RemoveObjectOptions{})
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		err = nil
	}
	return wrap("removing "+name, err)
}

func (s *S3) key(name string) string {
	return path.Join(s.cfg.Prefix, url.PathEscape(s.cfg.Origin), name)
}

// PutFile implements [FileStore]. A file has at most the 5 GiB that stores take
// in one request.
func (s *S3) PutFile(ctx context.Context, name string, content io.ReadSeeker, size int64, sum [sha256.Size]byte) error {
	o := minio.PutObjectOptions{ContentType: "application/octet-stream", DisableContentSha256: true, // of the chunks: the whole is signed
		UserMetadata: map[string]string{"x-amz-checksum-sha256": base64.StdEncoding.EncodeToString(sum[:])}} // sent as the header it is
	if s.cfg.Lock > 0 {
		o.Mode, o.RetainUntilDate = minio.Compliance, s.cfg.Now().UTC().Add(s.cfg.Lock)
	}
	// In one request: a store checks what it got against both sums before it answers.
	info, err := minio.Core{Client: s.client}.PutObject(ctx, s.cfg.Bucket, s.key(name), content, size, "", hex.EncodeToString(sum[:]), o)
	if err != nil {
		return wrap("storing "+name, err)
	}
	if info.Size != size {
		return fmt.Errorf("storing %s: the store has %d of %d bytes", name, info.Size, size)
	}
	return nil
}

// Get returns what was stored under the name, of at most a GiB and a half, or
// [fs.ErrNotExist]. Whoever may not list a bucket is refused what is not there.
func (s *S3) Get(ctx context.Context, name string) ([]byte, error) {
	o, err := s.client.GetObject(ctx, s.cfg.Bucket, s.key(name), minio.GetObjectOptions{})
	if err != nil {
		return nil, wrap("fetching "+name, err)
	}
	defer o.Close()
	b, err := io.ReadAll(io.LimitReader(o, 3<<29))
	if code := minio.ToErrorResponse(err).Code; code == minio.NoSuchKey || code == minio.AccessDenied {
		return nil, fmt.Errorf("fetching %s: %w: %w", name, fs.ErrNotExist, err)
	}
	if err != nil {
		return nil, wrap("fetching "+name, err)
	}
	return b, nil
}

// String says where it is, without secrets.
func (s *S3) String() string { return s.cfg.String() }

// Close implements [SegmentSender].
func (s *S3) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}
