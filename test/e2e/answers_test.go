package e2e_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestVendorStyles asks what contract file 09 asks of Tyk's answers of the others as well, with curl: status, headers and body
// for nobody, for a partner that is not allowed, and for a stranger.
func TestVendorStyles(t *testing.T) {
	t.Parallel()
	const (
		plain   = "text/plain; charset=utf-8"
		refused = "Certificate validation failed. You are not allowed to access the resource."
		fault   = `{"fault":{"code":900901, "message":"Invalid Credentials", "description":"Invalid Credentials. Make sure you have given the correct access token"}}`
	)
	for style, want := range map[string]struct {
		contentType, challenge string
		status                 [4]int
		body                   [4]string
	}{
		"boomi": {plain, "", [4]int{401, 200, 403, 403}, [4]string{"Certificate authorization required to access the resource.", "", refused, refused}},
		"wso2":  {"application/json", `Mutual SSL realm="WSO2 API Microgateway"`, [4]int{401, 200, 401, 401}, [4]string{fault, "", fault, fault}},
		"apim": {plain, "", [4]int{403, 200, 403, 403}, [4]string{
			"Client certificate is required", "", "Invalid client certificate", "Client certificate validation failed",
		}},
	} {
		t.Run(style, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.write(t, "style.yaml", strings.Replace(s.read(t, "09-listeners.yaml"), "errors: tyk", "errors: "+style, 1))
			b := runNginx(t, s.ports[portBackend])
			g := s.runGateway(t, "style.yaml")
			reasons := [4]string{"certificate_missing", "ok", "certificate_not_allowed", "certificate_untrusted"}
			for i, caller := range callers {
				for _, protocol := range protocols {
					for _, head := range []bool{false, true} {
						asked := call{protocol: protocol, serverName: "mixed.example.test", port: s.ports[portPublic], path: "/tyk/", caller: caller.certificate}
						if head {
							asked.args = []string{"--head"}
						}
						got := s.call(t, asked)
						if r := g.access(t, got.requestID()); got.status != want.status[i] || r.Reason != reasons[i] || r.Status != want.status[i] {
							t.Fatalf("%s: %s; the record %+v; want %d, %s", caller.name, got, r, want.status[i], reasons[i])
						}
						if got.status == 200 {
							continue
						}
						body := want.body[i]
						if head {
							body = ""
						}
						if got.exit != 0 || got.body != body || got.contentType != want.contentType || got.header.Get("Www-Authenticate") != want.challenge {
							t.Errorf("%s %s: %s; want %q (%s)", caller.name, protocol, got, body, want.contentType)
						}
					}
				}
				c := cell{s, g, b, row{serverName: "mixed.example.test", path: "/tyk/", listener: "everybody", api: "tyk-style"}, expect{
					status: want.status[i], reason: reasons[i], validated: want.status[i] == 200,
				}, caller.certificate}
				c.explained(t, "style.yaml")
			}
			// What has nothing to do with the certificate is a problem in every style.
			got := s.call(t, call{serverName: "mixed.example.test", port: s.ports[portPublic], path: "/nowhere/"})
			if p := got.problem(t); got.status != 404 || p.Reason != "no_route" {
				t.Errorf("no API: %s", got)
			}
			g.stop(t)
		})
	}
}

// TestObserveOnlyTellsOfEachRefusalAndOfNoIdentity asks an API that only observes with curl: everybody passes, the record, the
// metrics and explain say who would not have, and the backend is told of an identity only where there is one.
func TestObserveOnlyTellsOfEachRefusalAndOfNoIdentity(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write(t, "watch.yaml", strings.Replace(s.read(t, "09-listeners.yaml"), "observe_only: true}", "observe_only: true, allow: [{common_name: partner-a}], errors: tyk}", 1))
	b := runNginx(t, s.ports[portBackend])
	admin := freePort(t)
	cmd := exec.Command(program(t), "run", "--config", "watch.yaml", "--admin", "127.0.0.1:"+admin)
	cmd.Dir, cmd.Env = s.dir, environment()
	g := &gateway{start(t, cmd)}
	g.awaitLog(t, 0, "serving")
	would := map[string]expect{
		"":          {status: 200, reason: "ok", wouldBe: "certificate_missing"},
		"partner-a": known,
		"partner-b": {status: 200, reason: "ok", wouldBe: "certificate_not_allowed"},
		"stranger":  {status: 200, reason: "ok", wouldBe: "certificate_untrusted"},
	}
	for _, caller := range callers {
		c := cell{s, g, b, row{serverName: "mixed.example.test", path: "/watched/", listener: "everybody", api: "watched"}, would[caller.certificate], caller.certificate}
		for _, protocol := range protocols {
			c.check(t, protocol) // with spoofed fields, none of which the backend may see
		}
		c.explained(t, "watch.yaml")
	}
	said := toEnd(t, exec.Command(tool(t, "curl"), "--disable", "--silent", "--noproxy", "*", "--max-time", "30", "http://127.0.0.1:"+admin+"/metrics"))
	for reason, result := range map[string]string{
		"ok": "allow", "certificate_missing": "observed", "certificate_not_allowed": "observed", "certificate_untrusted": "observed",
	} {
		line := `sallyport_client_auth_total{api="watched",listener="everybody",reason="` + reason + `",result="` + result + `"} 2`
		if !strings.Contains(said.Stdout, "\n"+line+"\n") {
			t.Errorf("the metrics do not say %s", line)
		}
	}
	g.stop(t)
}
