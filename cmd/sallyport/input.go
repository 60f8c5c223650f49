package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"

	"sallyport/internal/config"
	"sallyport/internal/keystore"
)

// passwordVariable has the password of key stores where no option names a file.
const passwordVariable = "SALLYPORT_PASSWORD"

// stdinName is what a command line calls standard input.
const stdinName = "-"

// readGiven reads a whole file that the command line names, be it a pipe, or standard input for "-", of at most so many
// bytes. Nobody waits any more once ctx is done.
func readGiven(ctx context.Context, stdin io.Reader, name string, most int64) ([]byte, error) {
	if name == "" {
		return nil, errors.New("the name of the file is empty")
	}
	if name != stdinName {
		return config.ReadGiven(name, most, ctx.Done())
	}
	type outcome struct {
		data []byte
		err  error
	}
	read := make(chan outcome, 1)
	go func() {
		data, err := io.ReadAll(io.LimitReader(stdin, most+1))
		read <- outcome{data, err}
	}()
	select {
	case <-ctx.Done():
		return nil, errors.New("read standard input: interrupted")
	case r := <-read:
		if r.err == nil && int64(len(r.data)) > most {
			return nil, fmt.Errorf("standard input has more than %d bytes", most)
		}
		return r.data, r.err
	}
}

// onceOnly returns an error when more than one of the names is standard input.
func onceOnly(names ...string) error {
	readers := 0
	for _, name := range names {
		if name == stdinName {
			readers++
		}
	}
	if readers > 1 {
		return errors.New(`standard input ("-") can be read once only`)
	}
	return nil
}

// parser is keystore.Parse or, where nothing is trusted for what is read, keystore.Look.
type parser func(data []byte, password string) (*keystore.Bundle, error)

// certificates reads a file of any format that package keystore knows; there is at least one, or an error. Of a key store
// the certificate of its only private key comes first. Its password is in SALLYPORT_PASSWORD. Errors name the flag, which
// is empty for an argument, and the file.
func certificates(ctx context.Context, stdin io.Reader, parse parser, flag, name string) ([]*x509.Certificate, error) {
	found, err := parseGiven(ctx, stdin, parse, name)
	if err != nil && flag != "" {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return found, err
}

func parseGiven(ctx context.Context, stdin io.Reader, parse parser, name string) ([]*x509.Certificate, error) {
	data, err := readGiven(ctx, stdin, name, keystore.MaxBytes)
	if err != nil {
		return nil, err
	}
	bundle, err := parse(data, os.Getenv(passwordVariable))
	if errors.Is(err, keystore.ErrNoPassword) {
		err = fmt.Errorf("%w (a password is taken from %s)", err, passwordVariable)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(bundle.Entries) > 0 && len(bundle.Keys) == 1 {
		chain, err := ownChain(bundle)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return chain, nil
	}
	if len(bundle.Certificates) == 0 {
		return nil, fmt.Errorf("%s: there is no certificate in it", name)
	}
	return bundle.Certificates, nil
}

// ownChain is what the holder of a key store's private key presents.
func ownChain(bundle *keystore.Bundle) ([]*x509.Certificate, error) {
	credential, err := keystore.Credential(bundle.Certificates, bundle.Keys[0])
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for _, der := range credential.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, cert)
	}
	return chain, nil
}
