package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// pipePatience is how long nothing may come through a pipe that the document is read from.
const pipePatience = 10 * time.Second

var (
	errDirectory = errors.New("is a directory")
	errIrregular = errors.New("is not a regular file")
)

// ReadRegular reads a file that somebody named by the rules for the files of a document: a regular file of at most limit
// bytes, which is never waited for. Anything else, such as a pipe, a device or a directory, is an error that names the path.
func ReadRegular(path string, limit int64) ([]byte, error) { return readRegular(path, limit) }

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
// which nothing comes for as long as patience is an error.
func readAny(path string, limit int64, patience time.Duration) ([]byte, error) {
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
	return readLimited(&patientReader{file: f, pipe: info.Mode()&fs.ModeNamedPipe != 0, patience: patience}, path, limit)
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
	pipe     bool
	patience time.Duration
	some     bool
}

func (r *patientReader) Read(p []byte) (int, error) {
	deadline := time.Now().Add(r.patience)
	// What knows no deadlines, such as a disk, never waits for anybody.
	if err := r.file.SetReadDeadline(deadline); err != nil && !errors.Is(err, os.ErrNoDeadline) {
		return 0, err
	}
	for {
		n, err := r.file.Read(p)
		r.some = r.some || n > 0
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, io.EOF) && r.pipe && !r.some && time.Now().After(deadline):
			return n, &fs.PathError{Op: "read", Path: r.file.Name(), Err: fmt.Errorf("nobody has written anything for %s", r.patience)}
		case !errors.Is(err, io.EOF) || !r.pipe || r.some:
			return n, err
		}
		<-time.After(min(r.patience, 10*time.Millisecond))
	}
}
