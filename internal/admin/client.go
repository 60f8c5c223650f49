package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"time"

	"sallyport/internal/gateway"
)

// Client asks the admin address of a running gateway.
type Client struct {
	// Address is host:port, as in Options.
	Address string
	// Token is what SALLYPORT_ADMIN_TOKEN was when the gateway started.
	Token string
}

// The bounds on an answer.
const (
	answerTimeout = 15 * time.Second
	maxAnswer     = 4 << 20
)

// NotFoundError says that the gateway has nothing of that name.
type NotFoundError struct{ Detail string }

// Error implements error.
func (e *NotFoundError) Error() string { return e.Detail }

// Refusal asks for one refusal with its explanation. The error is a *NotFoundError when the gateway does not remember it.
func (c *Client) Refusal(ctx context.Context, requestID string) (*gateway.Recollection, error) {
	var out gateway.Recollection
	if err := c.get(ctx, refusalsPath+"/"+url.PathEscape(requestID), &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// get reads a JSON document. No error quotes the token.
func (c *Client) get(ctx context.Context, path string, out any) error {
	host, port, err := split(c.Address)
	if err != nil {
		return fmt.Errorf("admin address %q: %w", c.Address, err)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("admin address %q: %w", c.Address, err)
	}
	r.Header.Set("Authorization", "Bearer "+c.Token)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("the admin address does not redirect") // and the token goes nowhere else
	}}
	answer, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("ask the admin address %s: %w", c.Address, err)
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("ask the admin address %s: %w", c.Address, err)
	case len(body) > maxAnswer:
		return fmt.Errorf("the admin address %s answers with more than %d bytes", c.Address, maxAnswer)
	case answer.StatusCode != http.StatusOK:
		return c.refused(answer, body)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("the answer of the admin address %s: %w", c.Address, err)
	}
	return nil
}

func (c *Client) refused(answer *http.Response, body []byte) error {
	var said details
	kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil || kind != "application/problem+json" || json.Unmarshal(body, &said) != nil || said.Detail == "" {
		said.Detail = "it says no more"
	}
	if answer.StatusCode == http.StatusNotFound {
		return &NotFoundError{said.Detail}
	}
	return fmt.Errorf("the admin address %s answers %d: %s", c.Address, answer.StatusCode, said.Detail)
}
