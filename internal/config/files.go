package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// pipePatience is how long nothing may come through a pipe that a command line names.
const pipePatience = 10 * time.Second

var (
	errDirectory = errors.New("is a directory")
	errIrregular = errors.New("is not a regular file")
	errStopped   = errors.New("interrupted")
)

// ReadGiven reads a whole file of at most limit bytes that somebody named on a command line, as Load reads its path. It may
// be a pipe, such as a shell's <(…): one through which nothing comes for ten seconds is an error, and so is being
// interrupted, which is when done is closed; nil never is. Errors name the path. The files that a document names are regular
// ones: what reloads by itself must not wait for anybody.
func ReadGiven(path string, limit int64, done <-chan struct{}) ([]byte, error) {
	return readAny(path, limit, pipePatience, done)
}

// readRegular reads a whole regular file of at most limit bytes.
func readRegular(path string, limit int64) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	return readLimited(f, path, limit)
}

// openRegular opens a regular file to read it. Nothing else is opened for long enough to wait for it: a pipe or a device
// would be a place to hang.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := regular(info); err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	f, err := openNow(path)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = regular(info) // once more, of what was opened
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return f, nil
}

func regular(info fs.FileInfo) error {
	switch {
	case info.IsDir():
		return errDirectory
	case !info.Mode().IsRegular():
		return errIrregular
	}
	return nil
}

// readAny is readRegular for the path that the user gave, which may be a pipe, such as a shell's <(…). A pipe through
// which nothing comes for as long as patience is an error. Nobody waits any more once done is closed.
func readAny(path string, limit int64, patience time.Duration, done <-chan struct{}) ([]byte, error) {
	f, err := openNow(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() {
		return readLimited(f, path, limit)
	}
	if info.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errDirectory}
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-done:
			_ = f.Close() // it ends a read that waits
		case <-ended:
		}
	}()
	named := info.Mode()&fs.ModeNamedPipe != 0 && !inherited(path)
	return readLimited(&patientReader{file: f, named: named, patience: patience, done: done}, path, limit)
}

// inherited reports whether a path means a file that was open when the program began. A pipe among them has all of its
// writers from the beginning.
func inherited(path string) bool {
	return path == "/dev/stdin" || strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/proc/self/fd/")
}

func readLimited(r io.Reader, path string, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(data)) > limit:
		return nil, tooLarge(path, limit)
	}
	return data, nil
}

func tooLarge(path string, limit int64) error {
	size := fmt.Sprintf("%d bytes", limit)
	if limit >= 1<<20 {
		size = fmt.Sprintf("%d MiB", limit>>20)
	}
	return &fs.PathError{Op: "read", Path: path, Err: errors.New("larger than " + size)}
}

// patientReader reads what is not a regular file. A named pipe is at its end as long as nobody has opened it to write, so
// its end only counts after something came.
type patientReader struct {
	file     *os.File
	named    bool
	patience time.Duration
	done     <-chan struct{} // whoever closes it closes file, too
	some     bool
}

func (r *patientReader) Read(p []byte) (int, error) {
	n, err := r.read(p)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	select {
	case <-r.done: // a closed file has several errors, and none of them says why
		return n, r.failed(errStopped)
	default:
		return n, err
	}
}

func (r *patientReader) read(p []byte) (int, error) {
	deadline := time.Now().Add(r.patience)
	// What knows no deadlines, such as a disk, never waits for anybody.
	if err := r.file.SetReadDeadline(deadline); err != nil && !errors.Is(err, os.ErrNoDeadline) {
		return 0, err
	}
	for {
		n, err := r.file.Read(p)
		r.some = r.some || n > 0
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, io.EOF) && r.named && !r.some && time.Now().After(deadline):
			return n, r.failed(fmt.Errorf("nobody has written anything for %s", r.patience))
		case !errors.Is(err, io.EOF) || !r.named || r.some:
			return n, err
		}
		select {
		case <-r.done:
			return 0, os.ErrClosed
		case <-time.After(min(r.patience, 10*time.Millisecond)):
		}
	}
}

func (r *patientReader) failed(err error) error {
	return &fs.PathError{Op: "read", Path: r.file.Name(), Err: err}
}
