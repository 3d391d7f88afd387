package natsoperations_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noetl/gateway/libs/contract/operatorwire"
	"github.com/noetl/gateway/libs/fault"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/services/edge-proxy/internal/adapters/natsoperations"
)

// serve runs a replica of a service until stop is called, or the test ends.
func serve(t *testing.T, n *testkit.NATS, service, replica string, rows ...natskit.Endpoint) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	nc := n.Connect(t)
	go func() {
		done <- natskit.NewService(nc, telemetry.Nop(service), service, "test", rows...).As(replica).Run(ctx)
	}()
	stop = func() {
		cancel()
		err := <-done
		done <- nil
		if err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// streams is a replica of event-fanout that has streams.
func streams(replica string, count int) natskit.Endpoint {
	return natskit.HandleEach(kit.Observer{}, operatorwire.SubjectStreams, "streams", kit.Limits{},
		func(_ context.Context, in operatorwire.StreamsRequest) (operatorwire.PackedStreams, error) {
			page := operatorwire.StreamsResponse{Total: count}
			at, place, addressed := strings.Cut(in.Cursor, ".")
			from, err := strconv.Atoi(place)
			switch {
			case in.Cursor != "" && (!addressed || err != nil):
				return operatorwire.PackedStreams{}, fault.New(fault.Invalid, "bad_cursor", "no cursor")
			case at != replica:
				return operatorwire.Pack(page, replica), nil
			}
			for i := from; i < count; i++ {
				if len(page.Streams) == in.Limit {
					page.Next = replica + "." + strconv.Itoa(i)
					break
				}
				page.Streams = append(page.Streams, operatorwire.Stream{
					ClientID: fmt.Sprint(replica, i), Since: time.Unix(1, 0),
				})
			}
			return operatorwire.Pack(page, replica), nil
		})
}

func TestStreamsOfAllReplicasAreListed(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	o := natsoperations.New(natskit.NewClient(n.Connect(t), telemetry.Nop("edge")))
	var want []string
	stops := map[string]func(){}
	for replica, count := range map[string]int{"a": 25, "b": 0, "c": 7, "d": 3} {
		stops[replica] = serve(t, n, "event-fanout", replica, streams(replica, count))
	}
	for _, replica := range []struct {
		name  string
		count int
	}{{"a", 25}, {"c", 7}, {"d", 3}} {
		for i := range replica.count {
			want = append(want, fmt.Sprint(replica.name, i))
		}
	}
	testkit.Eventually(t, "all replicas are counted", func() bool {
		out, err := o.ListStreams(t.Context(), operatorwire.StreamsRequest{})
		return err == nil && out.Total == 35
	})
	list := func(in operatorwire.StreamsRequest, between func()) (clients []string) {
		t.Helper()
		for range 100 {
			out, err := o.ListStreams(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if in.Limit > 0 && len(out.Streams) > in.Limit {
				t.Fatalf("%d streams in a page of %d", len(out.Streams), in.Limit)
			}
			for _, s := range out.Streams {
				clients = append(clients, s.ClientID)
				if s.Replica != s.ClientID[:1] {
					t.Errorf("%+v", s)
				}
			}
			if in.Cursor = out.Next; out.Next == "" {
				return clients
			}
			between()
		}
		t.Fatal("the pages do not end")
		return nil
	}
	for _, limit := range []int{0, 1, 10, 1000} {
		in := operatorwire.StreamsRequest{Page: operatorwire.Page{Limit: limit}}
		if diff := cmp.Diff(want, list(in, func() {})); diff != "" {
			t.Errorf("pages of %d: %s", limit, diff)
		}
	}
	one := operatorwire.StreamsRequest{Page: operatorwire.Page{Limit: 5}, Replica: "c"}
	if diff := cmp.Diff(want[25:32], list(one, func() {})); diff != "" {
		t.Errorf("of one replica: %s", diff)
	}
	_, err := o.ListStreams(t.Context(), operatorwire.StreamsRequest{Replica: "none"})
	if f := fault.Of(err); f == nil || f.Kind != fault.NotFound {
		t.Errorf("an unknown replica: %v", err)
	}
	bad := operatorwire.StreamsRequest{Page: operatorwire.Page{Cursor: "x"}}
	if _, err := o.ListStreams(t.Context(), bad); fault.Of(err) == nil || fault.Of(err).Kind != fault.Invalid {
		t.Errorf("a bad cursor: %v", err)
	}
	// The replica that is being listed dies: the others follow.
	in := operatorwire.StreamsRequest{Page: operatorwire.Page{Limit: 10}}
	got := list(in, stops["a"])
	if diff := cmp.Diff(append(want[:10:10], want[25:]...), got); diff != "" {
		t.Errorf("a replica died: %s", diff)
	}
}

func TestWhoIsSilentIsNamed(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	o := natsoperations.New(natskit.NewClient(n.Connect(t), telemetry.Nop("edge")))
	level := func(context.Context, operatorwire.LogLevelRequest) (operatorwire.LogLevelResponse, error) {
		return operatorwire.LogLevelResponse{}, nil
	}
	status := func(context.Context, operatorwire.Empty) (operatorwire.Replica, error) {
		return operatorwire.Replica{Service: "somebody", Replica: "else", Ready: true}, nil
	}
	for _, replica := range []string{"a1", "a2"} {
		serve(t, n, "auth", replica,
			natskit.HandleEach(kit.Observer{}, "gateway.auth.v1.status", "status", kit.Limits{}, status),
			natskit.HandleEach(kit.Observer{}, "gateway.auth.v1.log-level", "level", kit.Limits{}, level))
	}
	testkit.Eventually(t, "both replicas of the one service that there is", func() bool {
		out, err := o.Status(t.Context())
		return err == nil && len(out.Replicas) == 2 && out.Replicas[0].Service == "auth" &&
			out.Replicas[1].Replica == "a2" && cmp.Diff([]string{"edge", "fanout", "ingress"}, out.Silent) == ""
	})
	testkit.Eventually(t, "both heard it, and who did not is named", func() bool {
		out, err := o.SetLogLevel(t.Context(), operatorwire.LogLevelRequest{Level: "debug", ForSeconds: 1})
		return err == nil && cmp.Diff([]string{"auth/a1", "auth/a2"}, out.Replicas) == "" &&
			cmp.Diff([]string{"edge", "fanout", "ingress"}, out.Silent) == ""
	})
	_, err := o.SetLogLevel(t.Context(), operatorwire.LogLevelRequest{Service: "edge", Level: "debug", ForSeconds: 1})
	if f := fault.Of(err); f == nil || f.Kind != fault.Unavailable {
		t.Errorf("nobody heard it: %v", err)
	}
	_, err = o.CloseStream(t.Context(), operatorwire.CloseStreamRequest{ClientID: "c"})
	if f := fault.Of(err); f == nil || f.Kind != fault.Unavailable || f.Code != "event-fanout_unavailable" {
		t.Errorf("nobody has streams: %v", err)
	}
	if _, err := o.GetSession(t.Context(), operatorwire.SessionRequest{}); fault.Of(err) == nil {
		t.Error("no service of sessions, and no fault")
	}
}

func TestClosingCountsWhatAllReplicasClosed(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	o := natsoperations.New(natskit.NewClient(n.Connect(t), telemetry.Nop("edge")))
	for _, replica := range []string{"a", "b"} {
		serve(t, n, "event-fanout", replica,
			natskit.HandleEach(kit.Observer{}, operatorwire.SubjectCloseStream, "close", kit.Limits{},
				func(_ context.Context, in operatorwire.CloseStreamRequest) (operatorwire.CloseStreamResponse, error) {
					return operatorwire.CloseStreamResponse{Closed: len(in.ClientID)}, nil
				}))
	}
	testkit.Eventually(t, "both closed some", func() bool {
		out, err := o.CloseStream(t.Context(), operatorwire.CloseStreamRequest{ClientID: "abc"})
		return err == nil && out.Closed == 6
	})
	testkit.Eventually(t, "nothing to close", func() bool {
		_, err := o.CloseStream(t.Context(), operatorwire.CloseStreamRequest{})
		f := fault.Of(err)
		return f != nil && f.Kind == fault.NotFound && f.Code == "unknown_client"
	})
}

// A replica that takes its time may have the streams, and close them: nobody is told that there are none.
func TestASlowReplicaMayHaveTheStreams(t *testing.T) {
	t.Parallel()
	n := testkit.StartNATS(t)
	o := natsoperations.New(natskit.NewClient(n.Connect(t), telemetry.Nop("edge")))
	release := make(chan struct{})
	serve(t, n, "event-fanout", "empty",
		natskit.HandleEach(kit.Observer{}, operatorwire.SubjectCloseStream, "close", kit.Limits{},
			func(context.Context, operatorwire.CloseStreamRequest) (out operatorwire.CloseStreamResponse, _ error) {
				return out, nil
			}))
	serve(t, n, "event-fanout", "slow",
		natskit.HandleEach(kit.Observer{}, operatorwire.SubjectCloseStream, "close", kit.Limits{},
			func(
				_ context.Context, in operatorwire.CloseStreamRequest,
			) (out operatorwire.CloseStreamResponse, _ error) {
				if in.ClientID == "slow" {
					<-release
				}
				out.Closed = 1
				return out, nil
			}))
	defer close(release)
	testkit.Eventually(t, "both are known", func() bool {
		out, err := o.CloseStream(t.Context(), operatorwire.CloseStreamRequest{ClientID: "c"})
		return err == nil && out.Closed == 1
	})
	_, err := o.CloseStream(t.Context(), operatorwire.CloseStreamRequest{ClientID: "slow"})
	if f := fault.Of(err); f == nil || f.Kind != fault.Unavailable {
		t.Errorf("a replica was slow: %v", err)
	}
}
