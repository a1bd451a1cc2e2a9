package clickhouse

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A client sends statements to one server.
type client struct {
	base, authorization string
	http                *http.Client
}

func newClient(base, authorization string, conf *tls.Config) (*client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return nil, errors.New("configuring ClickHouse: the URL is not of the form https://host:8443")
	}
	t := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, Proxy: http.ProxyFromEnvironment,
		MaxIdleConnsPerHost: 4, IdleConnTimeout: 5 * time.Second, TLSHandshakeTimeout: 10 * time.Second} // the server closes idle connections after 10 s
	if conf != nil {
		t.TLSClientConfig = conf.Clone()
	}
	return &client{base: strings.TrimSuffix(u.String(), "/") + "/", authorization: authorization, http: &http.Client{Transport: t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil // a secret goes to the configured place alone
}

// A serverError is an answer other than that all is well.
type serverError struct {
	status, code int
	what         string
}

func (e *serverError) Error() string {
	return fmt.Sprintf("ClickHouse answered %d: %s", e.status, e.what)
}

// do posts a body. The caller closes what is returned.
func (c *client) do(ctx context.Context, settings url.Values, contentType string, body io.Reader, packed bool) (io.ReadCloser, error) {
	settings.Set("wait_end_of_query", "1") // so that a failure half-way is told by the status
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"?"+settings.Encode(), body)
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("User-Agent", "ringfence")
	if packed {
		r.Header.Set("Content-Encoding", "gzip")
	}
	if c.authorization != "" {
		r.Header.Set("Authorization", c.authorization)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, fmt.Errorf("reaching ClickHouse: %w", err)
	}
	if code := resp.Header.Get("X-ClickHouse-Exception-Code"); resp.StatusCode != http.StatusOK || code != "" {
		defer resp.Body.Close()
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 2048))
		e := &serverError{status: resp.StatusCode, what: strings.ToValidUTF8(strings.TrimSpace(string(b)), "\uFFFD")}
		e.code, _ = strconv.Atoi(code)
		return nil, e
	}
	return resp.Body, nil
}

// statement sends sql with its parameters in a form: they stand in no URL,
// which other programs write to their logs.
func (c *client) statement(ctx context.Context, settings url.Values, sql string, args []any) (io.ReadCloser, error) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	err := w.WriteField("query", sql)
	for i, a := range args {
		v := fmt.Sprint(a)
		if s, ok := a.(string); ok {
			v = escape.Replace(s)
		}
		err = errors.Join(err, w.WriteField("param_p"+strconv.Itoa(i), v))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	return c.do(ctx, settings, w.FormDataContentType(), &body, false)
}

// escape writes a text as the server reads a parameter.
var escape = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\x00", `\0`)

// insert sends rows, a JSON object a line.
func (c *client) insert(ctx context.Context, sql string, rows []byte) error {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := z.Write(rows)
	if err = errors.Join(err, z.Close()); err != nil {
		return fmt.Errorf("compressing a batch: %w", err)
	}
	settings := url.Values{"query": {sql}, "input_format_skip_unknown_fields": {"0"}, "async_insert": {"0"}}
	body, err := c.do(ctx, settings, "application/x-ndjson", &packed, true)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(io.Discard, body); err != nil {
		return fmt.Errorf("reading ClickHouse's answer: %w", err)
	}
	return nil
}

// rows runs a statement and calls each for every row of its answer.
func (c *client) rows(ctx context.Context, sql string, args []any, each func(scan func(...any) error) error) error {
	settings := url.Values{
		"output_format_json_quote_64bit_integers": {"0"}, "cancel_http_readonly_queries_on_client_close": {"1"},
		// An entry's copies are the same in every column and lie in one partition.
		"do_not_merge_across_partitions_select_final": {"1"}, "use_skip_indexes_if_final": {"1"},
	}
	body, err := c.statement(ctx, settings, sql+" FORMAT JSONCompactEachRow", args)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewReaderSize(body, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading ClickHouse's answer: %w", errors.Join(err, context.Cause(ctx)))
		}
		if err := each(func(to ...any) error { return scan(line, to) }); err != nil {
			return err
		}
	}
}

func scan(line []byte, to []any) error {
	var values []json.RawMessage
	if err := json.Unmarshal(line, &values); err != nil || len(values) != len(to) {
		return fmt.Errorf("reading ClickHouse's answer: a row is not an array of %d values", len(to))
	}
	for i, v := range values {
		if err := json.Unmarshal(v, to[i]); err != nil {
			return fmt.Errorf("reading ClickHouse's answer: %w", err)
		}
	}
	return nil
}
