package config

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"weak"

	"sallyport/internal/identity"
)

// maxListSize bounds a file of thumbprints; in hex it holds some sixteen million.
const maxListSize = 1 << 30

// leastThumbprint is how many characters a thumbprint takes at least: base64 without padding.
const leastThumbprint = 43

// Lists remember files of thumbprints by their content for as long as a document, or rules compiled from one, have them: a
// reload shares what did not change. The zero value remembers nothing yet; it is safe for concurrent use.
type Lists struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]weak.Pointer[identity.SHA256List]
}

// get returns a list of this content that is still in use, nil when there is none.
func (l *Lists) get(content [sha256.Size]byte) *identity.SHA256List {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known[content].Value()
}

// put remembers a list, and forgets those that nobody has any more.
func (l *Lists) put(content [sha256.Size]byte, list *identity.SHA256List) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[[sha256.Size]byte]weak.Pointer[identity.SHA256List]{}
	}
	for old, list := range l.known {
		if list.Value() == nil {
			delete(l.known, old)
		}
	}
	l.known[content] = weak.Make(list)
}

// thumbprintFile is a file of thumbprints that was read, for all who name it.
type thumbprintFile struct {
	list *identity.SHA256List
	err  error
}

// filedMatchers resolves what matchers name files for. A broken one is never tolerated: an entry of deny that matches
// nobody would let somebody in.
func (r *resolver) filedMatchers() {
	for _, m := range r.filed {
		if m.Certificate != nil {
			r.matcherCertificate(m)
		}
		if m.SHA256File != "" {
			r.thumbprints(m.Matcher)
		}
	}
}

// matcherCertificate finds the one certificate that a matcher means. Which of several is the caller's own is not guessed:
// files have it first, and lists of CAs have it nowhere.
func (r *resolver) matcherCertificate(m aliased) {
	at := r.locate(m.Certificate)
	found, err := r.public(m.Certificate, at, Shape)
	if err != nil || found.certificates == nil {
		return
	}
	var cert *x509.Certificate
	store := m.Certificate.keyStore()
	switch {
	case store != nil && (store.Alias != "" || m.Certificate.Alias != ""):
		cert = found.entries[0].Certificate // its chain does not count
	case len(found.certificates) == 1:
		cert = found.certificates[0]
	case store != nil:
		r.shape(at, "there are %d certificates here, and a matcher means one: pick it with alias, out of %s", len(found.certificates), aliasList(found.entries))
		return
	default:
		r.shape(at, "there are %d certificates here, and a matcher means one: leave the caller's own alone in the file", len(found.certificates))
		return
	}
	m.Certificate.Certificates = []*x509.Certificate{cert}
	id := identity.Thumbprint(cert)
	m.Parsed.Certificate = &id
	if cert.BasicConstraintsValid && cert.IsCA {
		r.noteAuthority(m, &m.Certificate, "the certificate of "+quote(identity.SubjectText(cert)), id)
	}
}

// thumbprints reads the file of a matcher, once for all who name it.
func (r *resolver) thumbprints(m *Matcher) {
	m.SHA256File = r.join(&m.SHA256File, m.SHA256File)
	f, again := r.lists[m.SHA256File]
	if !again {
		f.list, f.err = r.readThumbprints(m.SHA256File)
		r.lists[m.SHA256File] = f
	}
	bad, isList := errors.AsType[*identity.ListError](f.err)
	switch {
	case f.err == nil:
		m.Parsed.SHA256File = f.list
	case !isList:
		r.shape(&m.SHA256File, "the file %s: %s", quotePath(m.SHA256File), cause(f.err))
	case again: // its lines were reported where it is named first
	default:
		for _, line := range bad.Bad {
			r.shape(&m.SHA256File, "%s: %s", quotePath(fmt.Sprintf("%s:%d", m.SHA256File, line.Line)), oneLine(line.Err.Error()))
		}
		if more := bad.Total - len(bad.Bad); more > 0 {
			r.shape(&m.SHA256File, "the file %s has %d more lines that are no thumbprints", quotePath(m.SHA256File), more)
		}
	}
}

var errNoThumbprint = errors.New("there is no thumbprint in it")

// readThumbprints reads a file of thumbprints in pieces: first to know its content and how many lines there are, then,
// unless a list of this content is in use already, for the thumbprints.
func (r *resolver) readThumbprints(path string) (*identity.SHA256List, error) {
	r.doc.source.read(path)
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	if info, err := f.Stat(); err == nil && info.Size() > maxListSize {
		return nil, tooLarge(path, maxListSize)
	}
	content := &counted{hash: sha256.New()}
	if _, err := io.Copy(content, io.LimitReader(f, maxListSize+1)); err != nil {
		return nil, err
	}
	if content.size > maxListSize {
		return nil, tooLarge(path, maxListSize)
	}
	if list := r.opts.Lists.get(content.sum()); list != nil {
		return list, nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	lines := min(content.lines+1, int(content.size)/leastThumbprint+1) // empty ones take no room
	content = &counted{hash: sha256.New()}                             // once more: the file may have changed in between
	list, err := identity.ReadSHA256List(io.TeeReader(io.LimitReader(f, maxListSize), content), lines)
	if err != nil {
		return nil, err
	}
	if list.Len() == 0 {
		return nil, errNoThumbprint
	}
	r.opts.Lists.put(content.sum(), list)
	return list, nil
}

// counted is what went through a reader.
type counted struct {
	hash  hash.Hash
	size  int64
	lines int
}

// Write never fails.
func (c *counted) Write(p []byte) (int, error) {
	c.size += int64(len(p))
	c.lines += bytes.Count(p, []byte("\n"))
	return c.hash.Write(p)
}

func (c *counted) sum() [sha256.Size]byte { return [sha256.Size]byte(c.hash.Sum(nil)) }
