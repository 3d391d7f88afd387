package firestorewatch_test

import (
	"encoding/json"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/noetl/gateway/libs/testkit"
)

const documents = "projects/p/databases/(default)/documents/"

// server is a Firestore whose streams a test writes: each script is one stream of any client.
type server struct {
	pb.UnimplementedFirestoreServer

	mu      sync.Mutex
	scripts []func(pb.Firestore_ListenServer, int32) error
}

func (s *server) Listen(stream pb.Firestore_ListenServer) error {
	ask, err := stream.Recv()
	if err != nil {
		return err
	}
	s.mu.Lock()
	if len(s.scripts) == 0 {
		s.mu.Unlock()
		<-stream.Context().Done()
		return nil
	}
	script := s.scripts[0]
	s.scripts = s.scripts[1:]
	s.mu.Unlock()
	return script(stream, ask.GetAddTarget().GetTargetId())
}

func startServer(t *testing.T, scripts ...func(pb.Firestore_ListenServer, int32) error) []string {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	g := grpc.NewServer()
	pb.RegisterFirestoreServer(g, &server{scripts: scripts})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Serve(ln)
	}()
	t.Cleanup(func() {
		g.Stop()
		<-done
	})
	return []string{"FIRESTORE_EMULATOR_HOST=" + ln.Addr().String(), "GATEWAY_FIRESTORE_PROJECT_ID=p"}
}

// snapshot sends documents, each a name and its update time, and the end of a snapshot.
func snapshot(stream pb.Firestore_ListenServer, target int32, docs map[string]int64) error {
	for name, updated := range docs {
		at := timestamppb.New(time.Unix(updated, 0))
		if err := stream.Send(&pb.ListenResponse{ResponseType: &pb.ListenResponse_DocumentChange{
			DocumentChange: &pb.DocumentChange{TargetIds: []int32{target}, Document: &pb.Document{
				Name: documents + name, CreateTime: at, UpdateTime: at,
				Fields: map[string]*pb.Value{"n": {ValueType: &pb.Value_IntegerValue{IntegerValue: updated}}},
			}},
		}}); err != nil {
			return err
		}
	}
	for _, change := range []*pb.TargetChange{
		{TargetChangeType: pb.TargetChange_CURRENT, TargetIds: []int32{target}},
		{TargetChangeType: pb.TargetChange_NO_CHANGE, ReadTime: timestamppb.Now(), ResumeToken: []byte("token")},
	} {
		if err := stream.Send(&pb.ListenResponse{
			ResponseType: &pb.ListenResponse_TargetChange{TargetChange: change},
		}); err != nil {
			return err
		}
	}
	return nil
}

// The library gives a stream up when it is aborted. What changed until the watch is open again is told, removals
// included, and what did not change is not.
func TestAWatchThatTheLibraryGivesUpTellsTheDifference(t *testing.T) {
	p := start(t, startServer(t,
		func(stream pb.Firestore_ListenServer, target int32) error {
			if err := snapshot(stream, target, map[string]int64{"c/gone": 1}); err != nil {
				return err
			}
			if err := snapshot(stream, target, map[string]int64{"c/same": 2}); err != nil {
				return err
			}
			if err := snapshot(stream, target, map[string]int64{"c/changed": 3}); err != nil {
				return err
			}
			return status.Error(codes.Aborted, "again")
		},
		func(stream pb.Firestore_ListenServer, target int32) error {
			if err := snapshot(stream, target, map[string]int64{"c/same": 2, "c/changed": 4}); err != nil {
				return err
			}
			<-stream.Context().Done()
			return nil
		},
	))
	p.ask(`{"op":"subscribe","id":"1","path":"c"}`)
	document := func(op, id, n string) fields {
		return fields{"id": "1", "doc_id": id, "op": op, "data": fields{"n": json.Number(n)}}
	}
	p.expect(document("added", "gone", "1"))
	p.expect(fields{"id": "1", "op": "ready"})
	p.expect(document("added", "same", "2"))
	p.expect(document("added", "changed", "3"))
	p.expect(fields{"id": "1", "doc_id": "gone", "op": "removed", "data": nil})
	p.expect(document("modified", "changed", "4"))
}

func TestWhatCannotWorkIsToldPerID(t *testing.T) {
	refuse := func(code codes.Code) func(pb.Firestore_ListenServer, int32) error {
		return func(pb.Firestore_ListenServer, int32) error { return status.Error(code, "no") }
	}
	p := start(t, startServer(t, refuse(codes.PermissionDenied), refuse(codes.NotFound)))
	p.ask(`{"op":"subscribe","id":"1","path":"c"}`)
	p.expect(fields{"id": "1", "op": "error", "code": "permission_denied"})
	p.ask(`{"op":"subscribe","id":"2","path":"c/d"}`)
	p.expect(fields{"id": "2", "op": "error", "code": "not_found"})
}

// The library panics on a reference to a collection. That document is told without its content.
func TestADocumentThatTheLibraryCannotReadEndsNothing(t *testing.T) {
	p := start(t, startServer(t, func(stream pb.Firestore_ListenServer, target int32) error {
		at := timestamppb.New(time.Unix(1, 0))
		if err := stream.Send(&pb.ListenResponse{ResponseType: &pb.ListenResponse_DocumentChange{
			DocumentChange: &pb.DocumentChange{TargetIds: []int32{target}, Document: &pb.Document{
				Name: documents + "c/odd", CreateTime: at, UpdateTime: at,
				Fields: map[string]*pb.Value{"r": {ValueType: &pb.Value_ReferenceValue{
					ReferenceValue: strings.TrimSuffix(documents, "/") + "/users",
				}}},
			}},
		}}); err != nil {
			return err
		}
		if err := snapshot(stream, target, nil); err != nil {
			return err
		}
		<-stream.Context().Done()
		return nil
	}))
	p.ask(`{"op":"subscribe","id":"1","path":"c"}`)
	p.expect(fields{"id": "1", "doc_id": "odd", "op": "added", "data": nil})
	p.expect(fields{"id": "1", "op": "ready"})
}
