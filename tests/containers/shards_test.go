//go:build containers

package containers_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/noetl/gateway/libs/contract/authwire"
	"github.com/noetl/gateway/libs/contract/fanoutwire"
	"github.com/noetl/gateway/libs/kit"
	"github.com/noetl/gateway/libs/natskit"
	"github.com/noetl/gateway/libs/telemetry"
	"github.com/noetl/gateway/libs/testkit"
	"github.com/noetl/gateway/tests/stack"
)

// What each round of [TestFramesInOneAndInFourStreams] stores.
const (
	shardClients = 100
	shardWorkers = 64
	shardReports = 3000
	shardResults = 1500
)

// TestFramesInOneAndInFourStreams loads one event-fanout on a cluster of three NATS servers, with the frames in one
// stream and in four, each with three replicas. The rates depend on the machine, and NATS chooses leaders by chance, so
// what fails is a frame that does not arrive once.
func TestFramesInOneAndInFourStreams(t *testing.T) {
	for _, shards := range []string{"1", "4"} {
		t.Run(shards, func(t *testing.T) {
			f := startCluster(t, shards)
			reports := f.load("progress", "playbook/progress", shardReports, func(i int) string {
				return fmt.Sprintf(`{"request_id":"p%d","step":"s","message":"m%d","progress":0.5}`, i%shardClients, i)
			})
			f.each(shardResults, func(i int) { f.expect("r", i) })
			results := f.load("callback/async", "playbook/result", shardResults, func(i int) string {
				return fmt.Sprintf(`{"request_id":"r%d","data":{"n":%d}}`, i, i)
			})
			streams, leaders := f.leaders()
			if shards != "1" { // frames may have begun in the one stream, on a slow cluster
				streams = slices.DeleteFunc(streams, func(name string) bool { return name == "GATEWAY_FRAMES" })
			}
			if strconv.Itoa(len(streams)) != shards {
				t.Errorf("frames are in %q and not in %s streams", streams, shards)
			}
			t.Logf("| frames in %s streams of 3 replicas | %.0f reports/s | %.0f results/s | leaders on %d servers |",
				shards, reports, results, leaders)
		})
	}
}

// cluster is three NATS servers with an event-fanout, and clients with open streams.
type cluster struct {
	t        *testing.T
	nc       *nats.Conn
	internal string
	clients  []string
	arrived  map[string]*atomic.Int64 // by the name of the event
}

func startCluster(t *testing.T, shards string) *cluster {
	t.Helper()
	w := &world{t: t, docker: docker(t)}
	var err error
	if w.net, err = network.New(t.Context()); err != nil {
		t.Fatalf("making a network: %v", err)
	}
	t.Cleanup(func() { _ = w.net.Remove(context.Background()) })
	var server *node
	var starting sync.WaitGroup
	for i := range 3 {
		starting.Go(func() {
			if n := w.clusterServer(i + 1); i == 0 {
				server = n
			}
		})
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	f := &cluster{t: t, arrived: map[string]*atomic.Int64{"playbook/progress": {}, "playbook/result": {}}}
	f.nc, err = nats.Connect(strings.Replace(server.address(4222), "http", "nats", 1),
		nats.UserInfo("admin", stack.Password("admin")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.nc.Close)
	f.authenticate()
	fanout := w.run("event-fanout", "noetl/gateway-event-fanout:"+version(), 8092,
		testcontainers.WithExposedPorts("8091/tcp", "9090/tcp"),
		testcontainers.WithEnv(as("event-fanout")),
		testcontainers.WithEnv(map[string]string{
			"NATS_URL":                    "nats://nats-1:4222,nats://nats-2:4222,nats://nats-3:4222",
			"GATEWAY_NATS_REPLICAS":       "3",
			"GATEWAY_FRAME_SHARDS":        shards,
			"GATEWAY_FRAME_MAX_BYTES":     "268435456",
			"GATEWAY_LIFECYCLE_MAX_BYTES": "67108864",
			"GATEWAY_INTERNAL_BIND":       "0.0.0.0",
			"GATEWAY_STREAMS_PER_SESSION": "1000",
			"LOG_LEVEL":                   "info",
		}),
		testcontainers.WithWaitStrategy(wait.ForHTTP("/readyz").WithPort("9090/tcp").WithStartupTimeout(time.Minute)))
	if shards != "1" { // the service starts with one stream; the others follow
		testkit.Eventually(t, "the frames go to all streams", func() bool {
			return strings.Contains(fanout.logs(), "frames go to other streams")
		})
	}
	f.internal = fanout.address(8091)
	public := fanout.address(8092)
	for range shardClients {
		stream := testkit.OpenEvents(t, public, "token", nil)
		f.clients = append(f.clients, stream.ClientID(t))
		go func() {
			for e := range stream.Events {
				if e.Error != nil {
					return
				}
				if count := f.arrived[e.Name]; count != nil {
					count.Add(1)
				}
			}
		}()
	}
	f.each(shardClients, func(i int) { f.expect("p", i) })
	return f
}

// clusterServer starts one of three servers; it returns when the server serves JetStream, which takes two.
func (w *world) clusterServer(number int) *node {
	name := fmt.Sprintf("nats-%d", number)
	env := map[string]string{"NATS_NAME": name, "NATS_ROUTE_PASSWORD": "route-password"}
	for i := range 3 {
		env[fmt.Sprintf("NATS_ROUTE_%d", i+1)] = fmt.Sprintf("nats://route:route-password@nats-%d:6222", i+1)
	}
	for _, user := range stack.Users {
		env["NATS_"+strings.ToUpper(strings.ReplaceAll(user, "-", "_"))+"_PASSWORD"] = stack.Password(user)
	}
	data := w.t.TempDir()
	return w.run(name, image(w.t, "nats"), 4222,
		testcontainers.WithEnv(env),
		testcontainers.WithCmd("--config", "/etc/nats/cluster.conf"),
		testcontainers.WithFiles(
			file("deployments/nats/cluster.conf", "/etc/nats/cluster.conf"),
			file("deployments/nats/accounts.conf", "/etc/nats/accounts.conf"),
		),
		testcontainers.WithExposedPorts("8222/tcp"),
		testcontainers.WithWaitStrategy(wait.ForHTTP("/healthz").WithPort("8222/tcp")),
		testcontainers.WithHostConfigModifier(func(hc *container.HostConfig) { hc.Binds = []string{data + ":/data"} }),
	)
}

// authenticate answers for auth: every token is a session of the user 7.
func (f *cluster) authenticate() {
	f.t.Helper()
	js, err := jetstream.New(f.nc)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(
		f.t.Context(), jetstream.KeyValueConfig{Bucket: authwire.RevokedBucket, Replicas: 3, MaxBytes: 1 << 20},
	); err != nil {
		f.t.Fatal(err)
	}
	resolve := func(context.Context, authwire.ResolveRequest) (authwire.Session, error) {
		return authwire.Session{User: authwire.User{UserID: 7}, ExpiresAt: time.Now().Add(time.Hour)}, nil
	}
	auth := natskit.NewService(f.nc, telemetry.Nop("auth"), "auth", "test", natskit.Handle(
		kit.Observer{}, authwire.SubjectResolve, "auth.resolve", kit.Limits{Concurrency: 64}, resolve))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- auth.Run(ctx) }()
	f.t.Cleanup(func() { cancel(); f.t.Log(<-done) })
}

// expect registers a request of one of the clients.
func (f *cluster) expect(prefix string, i int) {
	f.t.Helper()
	if _, err := natskit.Call[fanoutwire.ExpectRequest, fanoutwire.ExpectResponse](
		f.t.Context(), natskit.NewClient(f.nc, telemetry.Nop("edge-proxy")), "event-fanout", fanoutwire.SubjectExpect,
		fanoutwire.ExpectRequest{
			RequestID: fmt.Sprint(prefix, i), ClientID: f.clients[i%shardClients], Owner: "id:7",
			PlaybookPath: "bench/any",
		},
	); err != nil {
		f.t.Error(err)
	}
}

// each does n pieces of work, 64 concurrently.
func (f *cluster) each(n int, work func(i int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range shardWorkers {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				work(i)
			}
		})
	}
	workers.Wait()
}

// load posts n bodies to a route for workers, waits until as many events have arrived, and returns how many did in a
// second.
func (f *cluster) load(route, event string, n int, body func(i int) string) float64 {
	f.t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: shardWorkers}}
	begin := time.Now()
	f.each(n, func(i int) {
		req, err := http.NewRequestWithContext(
			f.t.Context(), http.MethodPost, f.internal+"/api/internal/"+route, strings.NewReader(body(i)),
		)
		if err != nil {
			f.t.Error(err)
			return
		}
		resp, err := client.Do(req)
		if err != nil {
			f.t.Error(err)
			return
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			f.t.Errorf("%s: %d", route, resp.StatusCode)
		}
	})
	testkit.Eventually(f.t, "all frames arrived", func() bool { return f.arrived[event].Load() >= int64(n) })
	took := time.Since(begin)
	if got := f.arrived[event].Load(); got != int64(n) {
		f.t.Errorf("%d events %s of %d", got, event, n)
	}
	return float64(n) / took.Seconds()
}

// leaders returns the names of the streams of frames, and how many servers lead them. It asks each leader for its
// stream: a list of streams lacks those whose leader answers late.
func (f *cluster) leaders() (streams []string, servers int) {
	f.t.Helper()
	js, err := jetstream.New(f.nc)
	if err != nil {
		f.t.Fatal(err)
	}
	leaders := map[string]bool{}
	names := js.StreamNames(f.t.Context(), jetstream.WithStreamListSubject("gateway.frames.>"))
	for name := range names.Name() {
		stream, err := js.Stream(f.t.Context(), name)
		if err != nil {
			f.t.Fatal(err)
		}
		info := stream.CachedInfo()
		if info.Config.Replicas != 3 {
			f.t.Errorf("%s has %d replicas", name, info.Config.Replicas)
		}
		leaders[info.Cluster.Leader] = true
		streams = append(streams, name)
	}
	if err := names.Err(); err != nil {
		f.t.Fatal(err)
	}
	return streams, len(leaders)
}
