package judge

import "testing"

func TestATargetInAbsoluteFormIsHTTP1Alone(t *testing.T) {
	t.Parallel()
	if path, query, ok := splitTarget("https://strict.test/open/?x", true); !ok || path != "/open/" || query != "?x" {
		t.Errorf("HTTP/1.1: %q %q %v", path, query, ok)
	}
	for _, target := range []string{"https://strict.test/open/", "*", "", "open", "?x"} {
		if path, _, ok := splitTarget(target, false); ok {
			t.Errorf("HTTP/2: %q is the path %q", target, path)
		}
	}
}
