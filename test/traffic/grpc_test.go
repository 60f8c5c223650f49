package traffic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sallyport/internal/testpki"
)

// gRPC runs over HTTP/2 only, so there is no row for HTTP/1.1: neither its clients nor its servers speak that.

type message = wrapperspb.BytesValue

// service is a gRPC service that does with a call what the call's first message says.
type service struct {
	ended chan error // how calls to "wait" ended
}

// serviceName is the service's, and so the prefix of its calls' paths.
const serviceName = "traffic.Service"

var (
	unaryPath  = "/" + serviceName + "/Unary"
	streamPath = "/" + serviceName + "/Stream"
	anyStream  = &grpc.StreamDesc{StreamName: "Stream", ServerStreams: true, ClientStreams: true}
)

func (s *service) desc() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: serviceName, HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(message)
			if err := decode(in); err != nil {
				return nil, err
			}
			return s.unary(ctx, in)
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Stream", ServerStreams: true, ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
			return s.stream(stream)
		}}},
	}
}

func (s *service) unary(ctx context.Context, in *message) (*message, error) {
	what, rest, _ := strings.Cut(string(in.GetValue()), " ")
	switch what {
	case "fail":
		return nil, status.Error(codes.FailedPrecondition, rest+" 100% ü\n")
	case "metadata":
		sent, _ := metadata.FromIncomingContext(ctx)
		_ = grpc.SetHeader(ctx, metadata.Pairs("x-header", "one", "x-header", "two", "x-data-bin", "\x00\xff")) // before the answer, so it works
		_ = grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", "last", "x-trailer-bin", "\x01\xfe"))
		return wrapperspb.Bytes(fmt.Appendf(nil, "%q %q %q", sent["x-sent"], sent["x-sent-bin"], sent["client-cert"][0][:1])), nil
	case "wait":
		s.ended <- wait(ctx)
		return nil, ctx.Err()
	}
	return in, nil
}

// wait waits for the end of a call.
func wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(patience):
		return errors.New("the call did not end")
	}
}

func (s *service) stream(stream grpc.ServerStream) error {
	for total := 0; ; {
		in := new(message)
		if err := stream.RecvMsg(in); errors.Is(err, io.EOF) {
			return stream.SendMsg(wrapperspb.Bytes(fmt.Appendf(nil, "%d in all", total)))
		} else if err != nil {
			return err
		}
		what, rest, _ := strings.Cut(string(in.GetValue()), " ")
		switch what {
		case "count": // and say nothing
			total += len(in.GetValue())
			continue
		case "fail":
			return status.Error(codes.DataLoss, rest)
		case "wait":
			s.ended <- wait(stream.Context())
			return stream.Context().Err()
		}
		if err := stream.SendMsg(in); err != nil {
			return err
		}
	}
}

// grpcBackend is a gRPC server with the service.
func grpcBackend(t testing.TB, s *service, options ...grpc.ServerOption) (server *grpc.Server, address string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server = grpc.NewServer(options...)
	server.RegisterService(s.desc(), s)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l) // Stop ends it
	}()
	t.Cleanup(func() { server.Stop(); <-ended })
	return server, l.Addr().String()
}

// rpc opens a gRPC client towards the gateway, with the partner's certificate or with what else is given.
func (g *gateway) rpc(t testing.TB, others ...credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	shown, address := credentials.NewTLS(g.tlsConfig()), g.address
	for _, other := range others {
		shown = other
		if other.Info().SecurityProtocol == "insecure" {
			address = g.open
		}
	}
	c, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(shown), grpc.WithAuthority("localhost"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// grpcAPI is the API of the service.
func grpcAPI(address string) []api {
	return []api{{path: "/" + serviceName + "/", target: "http://" + address, upstream: "protocol: h2"}}
}

// within is the time that a call may take.
func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// wantStatus checks how a call ended.
func wantStatus(t testing.TB, err error, code codes.Code, text string) {
	t.Helper()
	if s := status.Convert(err); s.Code() != code || !strings.Contains(s.Message(), text) {
		t.Errorf("status %v %q, want %v with %q", s.Code(), s.Message(), code, text)
	}
}

func TestGRPC(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA(t, testpki.Options{})
	plain := &service{ended: make(chan error, 1)}
	_, plainAddress := grpcBackend(t, plain)
	credential := ca.Leaf(t, testpki.Options{Hosts: []string{"127.0.0.1"}}).TLS()
	_, tlsAddress := grpcBackend(t, plain, grpc.Creds(credentials.NewServerTLSFromCert(&credential)))
	over := map[string]*grpc.ClientConn{
		"without TLS at the backend": serveWith(t, ca, document{apis: grpcAPI(plainAddress)}).rpc(t),
		"with TLS at the backend": serveWith(t, ca, document{apis: []api{{
			path: "/" + serviceName + "/", target: "https://" + tlsAddress, upstream: "protocol: h2, tls: {trust: [backends]}",
		}}}).rpc(t),
		"without TLS anywhere": serveWith(t, ca, document{open: true, apis: grpcAPI(plainAddress)}).rpc(t, insecure.NewCredentials()),
	}
	for name, c := range over {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			grpcCalls(t, c)
		})
	}
}

func grpcCalls(t *testing.T, c *grpc.ClientConn) {
	t.Helper()
	unary := func(t *testing.T, text string, options ...grpc.CallOption) (string, error) {
		t.Helper()
		out := new(message)
		err := c.Invoke(metadata.AppendToOutgoingContext(within(t), "x-sent", "one", "x-sent", "two", "x-sent-bin", "\x00\x80"), unaryPath, wrapperspb.Bytes([]byte(text)), out, options...)
		return string(out.GetValue()), err
	}
	open := func(t *testing.T) grpc.ClientStream {
		t.Helper()
		s, err := c.NewStream(within(t), anyStream, streamPath)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	send := func(t *testing.T, s grpc.ClientStream, text string) {
		t.Helper()
		if err := s.SendMsg(wrapperspb.Bytes([]byte(text))); err != nil {
			t.Fatal(err)
		}
	}
	wants := func(t *testing.T, s grpc.ClientStream, text string) {
		t.Helper()
		in := new(message)
		if err := s.RecvMsg(in); err != nil || string(in.GetValue()) != text {
			t.Fatalf("%.100q (%v) came, want %.100q", in.GetValue(), err, text)
		}
	}
	rows := map[string]func(t *testing.T){
		"unary": func(t *testing.T) {
			for _, text := range []string{"", "hello", strings.Repeat("x", 3<<20)} {
				if got, err := unary(t, text); got != text || err != nil {
					t.Errorf("%d bytes came back for %d (%v)", len(got), len(text), err)
				}
			}
		},
		"an error without a message": func(t *testing.T) { // trailers only
			_, err := unary(t, "fail because")
			wantStatus(t, err, codes.FailedPrecondition, "because 100% ü\n")
		},
		"metadata": func(t *testing.T) {
			var first, last metadata.MD
			got, err := unary(t, "metadata", grpc.Header(&first), grpc.Trailer(&last))
			if want := `["one" "two"] ["\x00\x80"] ":"`; got != want || err != nil {
				t.Errorf("the server saw %s (%v), want %s", got, err, want)
			}
			want := map[string][]string{"x-header": {"one", "two"}, "x-data-bin": {"\x00\xff"}, "x-trailer": {"last"}, "x-trailer-bin": {"\x01\xfe"}}
			have := map[string][]string{}
			for name, values := range metadata.Join(first, last) {
				if strings.HasPrefix(name, "x-") && name != "x-request-id" {
					have[name] = values
				}
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Errorf("metadata (-want +got):\n%s", diff)
			}
		},
		"both ways in turn": func(t *testing.T) {
			s := open(t)
			for i := range 20 {
				text := strings.Repeat("x", i*i*50)
				send(t, s, text)
				wants(t, s, text) // before the next is sent
			}
			if err := s.CloseSend(); err != nil {
				t.Fatal(err)
			}
			wants(t, s, "0 in all")
			wantStatus(t, onlyEnd(s.RecvMsg(new(message))), codes.OK, "")
		},
		"many from the client": func(t *testing.T) {
			s := open(t)
			for range 200 {
				send(t, s, "count "+strings.Repeat("x", 10_000))
			}
			if err := s.CloseSend(); err != nil {
				t.Fatal(err)
			}
			wants(t, s, fmt.Sprintf("%d in all", 200*10_006))
		},
		"many from the server, then an error": func(t *testing.T) {
			s := open(t)
			go func() { // what is not sent does not come back
				for range 200 {
					if s.SendMsg(wrapperspb.Bytes([]byte(strings.Repeat("y", 10_000)))) != nil {
						return
					}
				}
				_ = s.SendMsg(wrapperspb.Bytes([]byte("fail here")))
			}()
			for range 200 {
				wants(t, s, strings.Repeat("y", 10_000))
			}
			wantStatus(t, s.RecvMsg(new(message)), codes.DataLoss, "here")
		},
		"a method that is not there": func(t *testing.T) {
			wantStatus(t, c.Invoke(within(t), "/"+serviceName+"/Nothing", new(message), new(message)), codes.Unimplemented, "")
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "metadata" && c.Target() != "" && strings.Contains(c.Target(), "127.0.0.2") {
				return // nobody has a certificate there
			}
			row(t)
		})
	}
}

// onlyEnd turns the end of a stream into no error.
func onlyEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// TestGRPCRefusals: a client of gRPC reads a refusal of the gateway as a status that says the same.
func TestGRPCRefusals(t *testing.T) {
	t.Parallel()
	_, address := grpcBackend(t, &service{})
	apis := append(grpcAPI(address),
		api{path: "/gone.Service/", target: "http://127.0.0.1:" + ports.Free(t), upstream: "protocol: h2"},
		api{path: "/get.Service/", target: "http://" + address, upstream: "protocol: h2", methods: "methods: [GET]"},
	)
	for _, style := range []string{"boomi", "tyk", "wso2", "apim"} {
		apis = append(apis, api{path: "/" + style + ".Service/", target: "http://" + address, upstream: "protocol: h2", callers: "client_certificate: {errors: " + style + "}"})
	}
	g := serve(t, document{apis: apis})
	nobody, stranger := g.tlsConfig(), g.tlsConfig()
	nobody.Certificates = nil
	stranger.Certificates[0] = testpki.NewCA(t, testpki.Options{}).Leaf(t, testpki.Options{}).TLS()
	tests := []struct {
		name   string
		client *grpc.ClientConn
		path   string
		code   codes.Code
		reason string
		status int
	}{
		{"no certificate", g.rpc(t, credentials.NewTLS(nobody)), "/" + serviceName + "/Nobody", codes.Unauthenticated, "certificate_missing", 401},
		{"a stranger's certificate", g.rpc(t, credentials.NewTLS(stranger)), "/" + serviceName + "/Stranger", codes.PermissionDenied, "certificate_untrusted", 403},
		// A vendor's status is what a client of gRPC makes its own status of; it does not read the body.
		{"no certificate, as Boomi", g.rpc(t, credentials.NewTLS(nobody)), "/boomi.Service/Nobody", codes.Unauthenticated, "certificate_missing", 401},
		{"no certificate, as Tyk", g.rpc(t, credentials.NewTLS(nobody)), "/tyk.Service/Nobody", codes.PermissionDenied, "certificate_missing", 403},
		{"no certificate, as WSO2", g.rpc(t, credentials.NewTLS(nobody)), "/wso2.Service/Nobody", codes.Unauthenticated, "certificate_missing", 401},
		{"no certificate, as Azure", g.rpc(t, credentials.NewTLS(nobody)), "/apim.Service/Nobody", codes.PermissionDenied, "certificate_missing", 403},
		{"a stranger's certificate, as WSO2", g.rpc(t, credentials.NewTLS(stranger)), "/wso2.Service/Stranger", codes.Unauthenticated, "certificate_untrusted", 401},
		{"no such API", g.rpc(t), "/other.Service/Unary", codes.Unimplemented, "no_route", 404},
		{"a backend that is not there", g.rpc(t), "/gone.Service/Unary", codes.Unavailable, "upstream_unavailable", 502},
		{"a method that is not served", g.rpc(t), "/get.Service/Unary", codes.Unknown, "method_not_allowed", 405},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			wantStatus(t, test.client.Invoke(within(t), test.path, new(message), new(message)), test.code, fmt.Sprint(test.status))
			g.refused(t, test.path, test.reason, test.status, "")
		})
	}
}

// TestGRPCEndsEarly: a client that cancels, or whose time is up, ends the call at the backend.
func TestGRPCEndsEarly(t *testing.T) {
	t.Parallel()
	s := &service{ended: make(chan error, 1)}
	_, address := grpcBackend(t, s)
	g := serve(t, document{apis: grpcAPI(address)})
	c := g.rpc(t)

	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	stream, err := c.NewStream(ctx, anyStream, streamPath)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"hello", "wait"} {
		if err := stream.SendMsg(wrapperspb.Bytes([]byte(text))); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.RecvMsg(new(message)); err != nil {
		t.Fatal(err)
	}
	cancel()
	wantStatus(t, stream.RecvMsg(new(message)), codes.Canceled, "")
	if err := receive(t, s.ended, "the end of the call at the backend"); !errors.Is(err, context.Canceled) {
		t.Errorf("the call ended with %v, want %v", err, context.Canceled)
	}
	g.failed(t, streamPath, "client", 200)

	short, cancel := context.WithTimeout(within(t), 500*time.Millisecond)
	defer cancel()
	// The backend knows the deadline, and hears of the client: whichever comes first. A backend that is first resets the call.
	err = c.Invoke(short, unaryPath, wrapperspb.Bytes([]byte("wait")), new(message))
	if code := status.Code(err); code != codes.DeadlineExceeded && code != codes.Unavailable {
		t.Errorf("the call ends with %v", err)
	}
	if err := receive(t, s.ended, "the end of the call at the backend"); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		t.Errorf("the call ended with %v", err)
	}
	g.record(t, unaryPath)
}

// TestGRPCBackendDies: the client sees an error, never the end of a stream.
func TestGRPCBackendDies(t *testing.T) {
	t.Parallel()
	server, address := grpcBackend(t, &service{})
	g := serve(t, document{apis: grpcAPI(address)})
	stream, err := g.rpc(t).NewStream(within(t), anyStream, streamPath)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(stream.SendMsg(wrapperspb.Bytes([]byte("hello"))), stream.RecvMsg(new(message))); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	err = stream.RecvMsg(new(message))
	if code := status.Code(err); err == nil || errors.Is(err, io.EOF) || code != codes.Unavailable && code != codes.Internal {
		t.Errorf("the stream ended with %v", err)
	}
	g.failed(t, streamPath, address, 200)
}
