package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// validation is what validate --json prints.
type validation struct {
	Valid   bool      `json:"valid"`
	Errors  []finding `json:"errors"`
	Notes   []finding `json:"notes"`
	Unbuilt []finding `json:"unbuilt"`
	Counts  struct {
		Listeners int `json:"listeners"`
		APIs      int `json:"apis"`
	} `json:"counts"`
}

type finding struct {
	File       string `json:"file"`
	Line       int    `json:"line"`
	Column     int    `json:"column"`
	Message    string `json:"message"`
	Suggestion string `json:"suggestion"`
}

// String is the line that validate prints without --json.
func (f finding) String() string {
	text := fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
	if f.Suggestion != "" {
		text += fmt.Sprintf(" (did you mean %q?)", f.Suggestion)
	}
	return text
}

func text(findings []finding) []string {
	var all []string
	for _, f := range findings {
		all = append(all, f.String())
	}
	return all
}

// unbuilt are the lines with which run refuses contract files that rely on what is not built.
var unbuilt = map[string][]string{
	"03-header.yaml": {
		`6:15: this build does not run yet: source: header of listener "behind-lb"`,
		`25:11: this build does not run yet: forward other than rfc9440 of API "orders"`,
		`26:11: this build does not run yet: forward other than rfc9440 of API "orders"`,
	},
	"04-upstream.yaml": {
		`9:1: this build does not run yet: upstream_credentials`,
		`22:5: this build does not run yet: upstream_credentials of API "secure-own"`,
	},
	"05-policy.yaml": {
		`16:73: this build does not run yet: on_invalid: present of API "steps"`,
		`18:9: this build does not run yet: choose in the policy of API "steps"`,
		`23:9: this build does not run yet: set_header in the policy of API "steps"`,
		`27:73: this build does not run yet: on_invalid: present of API "validate"`,
		`29:9: this build does not run yet: validate_client_certificate in the policy of API "validate"`,
	},
	"06-users.yaml": {
		`8:1: this build does not run yet: identity_providers`,
		`10:1: this build does not run yet: users`,
		`23:9: this build does not run yet: authenticate in the policy of API "accounts"`,
	},
	"07-keys.yaml": {
		`8:1: this build does not run yet: plans`,
		`12:1: this build does not run yet: keys`,
		`28:5: this build does not run yet: authentication of API "by-certificate"`,
		`33:5: this build does not run yet: authentication of API "by-either"`,
	},
	"08-stores.yaml": {
		`14:5: this build does not run yet: revocation of trust store "checked"`,
	},
}

// in puts the file's name before each line.
func in(file string, lines []string) []string {
	var all []string
	for _, line := range lines {
		all = append(all, file+":"+line)
	}
	return all
}

func TestContractFilesValidate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	counts := map[string][2]int{ // listeners, APIs
		"01-first.yaml": {1, 2}, "02-inherit.yaml": {1, 3}, "03-header.yaml": {1, 1}, "04-upstream.yaml": {1, 2},
		"05-policy.yaml": {1, 2}, "06-users.yaml": {1, 1}, "07-keys.yaml": {1, 2}, "08-stores.yaml": {1, 3},
		"09-listeners.yaml": {2, 4},
	}
	for file, count := range counts {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			plain := sallyport(t, s.dir, "validate", "--config", file)
			asJSON := sallyport(t, s.dir, "validate", "--config", file, "--json")
			var got validation
			if err := json.Unmarshal([]byte(asJSON.Stdout), &got); err != nil || asJSON.Stderr != "" {
				t.Fatalf("%v\n%s%s", err, asJSON.Stdout, asJSON.Stderr)
			}
			if plain.Code != 0 || asJSON.Code != 0 || !got.Valid || len(got.Errors) > 0 {
				t.Errorf("exit codes %d and %d, valid %t\n%s%s", plain.Code, asJSON.Code, got.Valid, plain.Stdout, plain.Stderr)
			}
			if diff := cmp.Diff(in(file, unbuilt[file]), text(got.Unbuilt)); diff != "" {
				t.Errorf("what is not built (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(count, [2]int{got.Counts.Listeners, got.Counts.APIs}); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			for _, line := range text(got.Unbuilt) {
				if !strings.Contains(plain.Stderr, line+"\n") {
					t.Errorf("%q is not in %s", line, plain.Stderr)
				}
			}
		})
	}
}

func TestRunRefusesWhatIsNotBuilt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for file, lines := range unbuilt {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			got := sallyport(t, s.dir, "run", "--config", file)
			want := result{Code: 1, Stderr: strings.Join(in(file, lines), "\n") + "\n"}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
				t.Errorf("run (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSixMistakesAreReportedAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write(t, "six.yaml", `listeners:
  - name: public
    address: 127.0.0.1:18443
    tls: {credentials: [server], clinet_auth: optional}
credentials:
  - {name: server, certificate: {file: pki/server.pem}, private_key: {file: pki/server.key}}
trust_stores:
  - {name: partners, anchors: [{file: pki/nowhere.pem}]}
  - {name: nobody, anchors: []}
upstreams:
  - {name: echo, targets: "http://127.0.0.1:18080"}
apis:
  - {name: orders, path: /orders/, upstream: ehco}
  - {name: orders, path: /other/, upstream: echo}
`)
	want := []finding{
		{"six.yaml", 4, 34, `unknown key "clinet_auth"`, "client_auth"},
		{"six.yaml", 8, 39, `the file "pki/nowhere.pem": no such file or directory`, ""},
		{"six.yaml", 9, 29, `anchors is an empty list: remove the key or name something`, ""},
		{"six.yaml", 11, 27, `targets must be a list, not "http://127.0.0.1:18080": write [http://127.0.0.1:18080]`, ""},
		{"six.yaml", 13, 46, `there is no upstream "ehco"`, "echo"},
		{"six.yaml", 14, 12, `the API "orders" is already defined at six.yaml:13:12`, ""},
	}
	asJSON := sallyport(t, s.dir, "validate", "--config", "six.yaml", "--json")
	var got validation
	if err := json.Unmarshal([]byte(asJSON.Stdout), &got); err != nil || asJSON.Code != 1 || got.Valid || asJSON.Stderr != "" {
		t.Fatalf("exit code %d, valid %t, want 1 and false; %v\n%s%s", asJSON.Code, got.Valid, err, asJSON.Stdout, asJSON.Stderr)
	}
	if diff := cmp.Diff(want, got.Errors); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	lines := strings.Join(text(want), "\n") + "\n"
	if diff := cmp.Diff(result{Code: 1, Stderr: lines + "invalid: 6 errors\n"}, sallyport(t, s.dir, "validate", "--config", "six.yaml"), cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("validate (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(result{Code: 1, Stderr: lines}, sallyport(t, s.dir, "run", "--config", "six.yaml"), cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
}
