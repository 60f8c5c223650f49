package daemon

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"os"
	"slices"
	"syscall"
	"time"
)

// watch notices that files have changed by looking at them: at their size, time, mode and inode, and at the names in a
// directory. That works for every file system and every way to replace a file, symbolic links included; what it costs is
// one stat a file and tick.
type watch struct {
	root    string
	files   []string
	applied [32]byte // what the files looked like when they were last read
	pending [32]byte // what they looked like at the last tick
}

// newWatch begins with the document alone, as it is now.
func newWatch(root string) *watch {
	w := &watch{root: root, files: []string{root}}
	w.settle()
	return w
}

// follow watches the files of a document that was put to work; reading it began at since. What is new among them and
// changed after that is seen as a change.
func (w *watch) follow(files []string, since time.Time) {
	files = append(slices.Clone(files), w.root)
	slices.Sort(files)
	files = slices.Compact(files)
	if slices.Equal(w.files, files) {
		return
	}
	w.files = files
	w.settle()
	for _, name := range files {
		if info, err := os.Stat(name); err == nil && info.ModTime().After(since) {
			w.applied = [32]byte{} // read again at the next tick
		}
	}
}

// settle remembers the files as they are.
func (w *watch) settle() {
	w.applied = w.look()
	w.pending = w.applied
}

// changed reports whether the files differ from when they were last read and have stayed the same for one tick, so that a
// file which is just being written is left alone.
func (w *watch) changed() bool {
	now := w.look()
	steady := now == w.pending
	w.pending = now
	return steady && now != w.applied
}

func (w *watch) look() [32]byte {
	h := sha256.New()
	for _, name := range w.files {
		_, _ = io.WriteString(h, name+"\x00") // a hash does not fail
		info, err := os.Stat(name)
		if err != nil {
			_, _ = io.WriteString(h, "missing\x00")
			continue
		}
		numbers := []int64{info.Size(), info.ModTime().UnixNano(), int64(info.Mode())}
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			numbers = append(numbers, int64(s.Ino)) //nolint:gosec // G115: only compared
		}
		_ = binary.Write(h, binary.BigEndian, numbers)
		if !info.IsDir() {
			continue
		}
		entries, err := os.ReadDir(name)
		if err != nil {
			_, _ = io.WriteString(h, "unreadable\x00")
		}
		for _, e := range entries {
			_, _ = io.WriteString(h, e.Name()+"\x00")
		}
	}
	return [32]byte(h.Sum(nil))
}
