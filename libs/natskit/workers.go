package natskit

import "sync"

// maxIdle bounds the goroutines that wait for work.
const maxIdle = 32

// workers run functions concurrently on goroutines that are used again: a new one for each message spends a good part
// of its time on growing its stack.
type workers struct {
	jobs chan func()
	idle chan struct{} // a token for each that waits
	stop chan struct{}
	busy sync.WaitGroup // functions that have not returned
}

func newWorkers() *workers {
	return &workers{jobs: make(chan func()), idle: make(chan struct{}, maxIdle), stop: make(chan struct{})}
}

// do runs a function, and returns immediately.
func (w *workers) do(job func()) {
	w.busy.Add(1)
	select {
	case w.jobs <- job:
	default:
		go w.work(job)
	}
}

func (w *workers) work(job func()) {
	for {
		w.run(job)
		select {
		case w.idle <- struct{}{}:
		default:
			return
		}
		select {
		case job = <-w.jobs:
			<-w.idle
		case <-w.stop:
			return
		}
	}
}

func (w *workers) run(job func()) {
	defer w.busy.Done()
	job()
}

// end waits until all functions have returned. There must be no more after it.
func (w *workers) end() {
	w.busy.Wait()
	close(w.stop)
}
