package schema_test

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/trust"
	"sallyport/internal/upstream"
)

// TestTheDefaultsAreThoseOfTheProgram compares the defaults that editors and the reference show with what the program
// does where nothing is written.
func TestTheDefaultsAreThoseOfTheProgram(t *testing.T) {
	t.Parallel()
	doc := &config.Document{}
	listener, request, rules, end := (*config.Listener)(nil).Bounds(), doc.RequestBounds(nil, nil), doc.Rules(nil, nil), config.Shutdown{}.Bounds()
	program := map[string]any{
		"ListenerLimits.max_connections":     listener.MaxConnections,
		"ListenerLimits.max_connection_age":  listener.MaxConnectionAge,
		"ListenerLimits.handshake_timeout":   listener.HandshakeTimeout,
		"ListenerLimits.header_timeout":      listener.HeaderTimeout,
		"ListenerLimits.idle_timeout":        listener.IdleTimeout,
		"ListenerLimits.send_timeout":        listener.SendTimeout,
		"ListenerLimits.max_header_size":     config.Size(listener.MaxHeaderSize),
		"ListenerLimits.max_header_fields":   listener.MaxHeaderFields,
		"ListenerLimits.max_streams":         listener.MaxStreams,
		"ListenerLimits.max_control_frames":  listener.MaxControlFrames,
		"ListenerLimits.max_body_size":       config.Size(request.MaxBody),
		"ListenerLimits.min_body_rate":       config.Size(request.MinBodyRate),
		"ListenerLimits.stream_idle_timeout": request.StreamIdle,
		"Shutdown.delay":                     end.Delay,
		"Shutdown.drain":                     end.Drain,
		"ClientCertificate.source":           string(rules.Source),
		"ClientCertificate.on_invalid":       string(rules.OnInvalid),
		"ClientCertificate.enforce":          string(rules.Enforce),
		"ClientCertificate.observe_only":     rules.ObserveOnly,
		"ClientCertificate.strip":            rules.Strip,
		"Health.max_failures":                upstream.DefaultMaxFailures,
		"Health.recovery":                    upstream.DefaultRecovery,
		"UpstreamTimeouts.connect":           upstream.DefaultConnectTimeout,
		"UpstreamTimeouts.response":          upstream.DefaultResponseTimeout,
		"UpstreamTimeouts.pause":             upstream.DefaultPauseTimeout,
		"UpstreamTimeouts.idle":              upstream.DefaultIdleTimeout,
		"UpstreamTimeouts.queue":             upstream.DefaultQueueTimeout,
		"UpstreamPool.max_idle":              upstream.DefaultMaxIdle,
		"Upstream.resolve_every":             upstream.DefaultResolveEvery,
		"KeySize.rsa":                        trust.MinRSABits,
	}
	// Words and truth values whose default is the first branch of some switch elsewhere, where tests of that package have it.
	elsewhere := map[string]bool{
		"ClientCertificate.mode": true, "ListenerTLS.client_auth": true, "ListenerTLS.min_version": true,
		"ListenerTLS.announce_authorities": true, "ListenerTLS.session_tickets": true, "Matcher.match": true, "API.path": true,
		"CertificateHeader.format": true, "CertificateHeader.verify": true, "ProxyCertificate.required": true, "TrustStore.max_depth": true,
		"Log.access": true, "Log.format": true, "Log.level": true, "Log.sample_every": true,
		"KeySize.ec": true, "Upstream.protocol": true, "Upstream.load_balancing": true, "Upstream.retry": true,
		"ValidateClientCertificate.validate_revocation": true, "ValidateClientCertificate.validate_trust": true,
		"ValidateClientCertificate.validate_not_before": true, "ValidateClientCertificate.validate_not_after": true,
	}
	seen := map[reflect.Type]bool{}
	var walk func(of reflect.Type)
	walk = func(of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || seen[of] {
			return
		}
		seen[of] = true
		for f := range of.Fields() {
			key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if key == "" || key == "-" {
				continue
			}
			walk(f.Type)
			id := of.Name() + "." + key
			written, want := f.Tag.Get("default"), program[id]
			delete(program, id)
			switch {
			case f.Type.Kind() == reflect.Bool && want == nil: // false is what a bool has where nothing is written
				want = false
			case elsewhere[id]:
				want = written
			case want == nil:
				want = ""
			}
			if !same(written, want) {
				t.Errorf("the default of %s is written %q, the program has %v", id, written, want)
			}
		}
	}
	walk(reflect.TypeFor[config.Document]())
	for id := range program {
		t.Errorf("there is no %s", id)
	}
}

// same reports whether a default is written as the document would have the value.
func same(written string, value any) bool {
	switch value := value.(type) {
	case time.Duration:
		length, err := time.ParseDuration(written)
		return err == nil && length == value
	case int:
		return written == strconv.Itoa(value)
	case bool:
		return written == strconv.FormatBool(value)
	case config.Size:
		return written == value.String()
	}
	return written == value
}

// TestWhatLoadRefusesAsNotBuiltIsMarked is about the keys that config.Load itself does not take yet; those that it takes
// and the gateway does not run are compared in package gateway.
func TestWhatLoadRefusesAsNotBuiltIsMarked(t *testing.T) {
	t.Parallel()
	dir, s := folder(t), compiled(t)
	anchor := func(text string) string { return "trust_stores: [{name: a, anchors: [" + text + "]}]\n" }
	for _, tt := range []struct {
		of    reflect.Type
		field string
		text  string
	}{
		{reflect.TypeFor[config.Credential](), "PKCS12", "credentials: [{name: a, pkcs12: {file: a.p12}}]\n"},
		{reflect.TypeFor[config.Anchor](), "PKCS12", anchor("{pkcs12: {file: a.p12}}")},
		{reflect.TypeFor[config.Anchor](), "JKS", anchor("{jks: {file: a.jks}}")},
		{reflect.TypeFor[config.Anchor](), "File", anchor("{file: a.pem}")},
		{reflect.TypeFor[config.CertificateRef](), "PKCS12", anchor("{certificate: {pkcs12: {file: a.p12}}}")},
		{reflect.TypeFor[config.CertificateRef](), "JKS", anchor("{certificate: {jks: {file: a.jks}}}")},
		{reflect.TypeFor[config.CertificateRef](), "ID", anchor("{certificate: {id: a}}")},
		{reflect.TypeFor[config.CertificateRef](), "Name", anchor("{certificate: {name: a}}")},
		{reflect.TypeFor[config.CertificateRef](), "File", anchor("{certificate: {file: a.pem}}")},
		{reflect.TypeFor[config.Matcher](), "Alias", "client_certificate: {deny: [{alias: a}]}\n"},
		{reflect.TypeFor[config.Matcher](), "Certificate", "client_certificate: {deny: [{certificate: {file: a.pem}}]}\n"},
		{reflect.TypeFor[config.Matcher](), "Serial", "client_certificate: {deny: [{serial: a}]}\n"},
	} {
		f, ok := tt.of.FieldByName(tt.field)
		if !ok {
			t.Fatalf("%s has no field %s", tt.of, tt.field)
		}
		if refused := refusals(s, parse([]byte(tt.text))); len(refused) > 0 {
			t.Errorf("the schema refuses %s: %v", tt.text, refused)
		}
		said, marked := strings.Contains(load(t, dir, []byte(tt.text)).Error(), notBuilt), f.Tag.Get("unbuilt") == "*"
		if said != marked {
			t.Errorf("%s.%s: that it is not built is said by config.Load: %v, by the tag: %v", tt.of.Name(), tt.field, said, marked)
		}
	}
}
