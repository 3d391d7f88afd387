package subscriptions

import (
	"hash/fnv"
	"maps"
	"slices"
	"sync"
)

// Partitions is the number of leases that all watches share, so that what a lease costs does not grow with them.
const Partitions = 16

// partitionOf returns the partition of a watch.
func partitionOf(watch string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(watch))
	return int(h.Sum32() % Partitions)
}

// directory is what this process knows of all subscriptions. It is safe for concurrent use.
type directory struct {
	mu        sync.Mutex
	round     int // counts the beginnings of what is told
	ready     bool
	byID      map[string]*entry
	byWatch   [Partitions]map[string]set
	byClient  map[string]set
	bySession map[string]set
	byOwner   map[string]set
	poked     [Partitions]chan struct{} // something changed in the partition
}

type entry struct {
	Record
	round int
}

// set holds ids.
type set map[string]struct{}

func newDirectory() *directory {
	d := &directory{
		byID: map[string]*entry{}, byClient: map[string]set{}, bySession: map[string]set{}, byOwner: map[string]set{},
	}
	for i := range Partitions {
		d.byWatch[i], d.poked[i] = map[string]set{}, make(chan struct{}, 1)
	}
	return d
}

// told returns what keeps the directory up to date.
func (d *directory) told() Told {
	return Told{
		Begin: func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.round++
		},
		Put: d.put,
		Gone: func(id string, revision uint64) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if e := d.byID[id]; e != nil && e.Revision < revision {
				d.drop(e)
			}
		},
		CaughtUp: func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			for _, e := range d.byID {
				if e.round < d.round {
					d.drop(e)
				}
			}
			d.ready = true
			for i := range Partitions {
				d.poke(i)
			}
		},
	}
}

// put adds or replaces a record, unless a newer one is there.
func (d *directory) put(r Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.byID[r.ID]
	if e == nil {
		e = &entry{Record: r}
		d.byID[r.ID] = e
		add(d.byWatch[partitionOf(r.Watch)], r.Watch, r.ID)
		add(d.byClient, r.ClientID, r.ID)
		add(d.bySession, r.SessionKey, r.ID)
		add(d.byOwner, r.Owner, r.ID)
	} else if r.Revision >= e.Revision {
		e.Record = r
	}
	e.round = d.round
	d.poke(partitionOf(r.Watch))
}

// reserve adds a record that is not stored yet, if none of the limits is reached; which one is, is returned.
func (d *directory) reserve(r Record, l Limits) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case len(d.byClient[r.ClientID]) >= l.PerClient:
		return "of this client"
	case len(d.bySession[r.SessionKey]) >= l.PerSession:
		return "of this session"
	case len(d.byOwner[r.Owner]) >= l.PerUser:
		return "of this user"
	case len(d.byID) >= l.Total:
		return "of this gateway"
	}
	d.byID[r.ID] = &entry{Record: r, round: d.round + 1} // what is told now may be without it
	add(d.byWatch[partitionOf(r.Watch)], r.Watch, r.ID)
	add(d.byClient, r.ClientID, r.ID)
	add(d.bySession, r.SessionKey, r.ID)
	add(d.byOwner, r.Owner, r.ID)
	return ""
}

// forget removes a record that could not be stored, or was deleted.
func (d *directory) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.byID[id]; e != nil {
		d.drop(e)
	}
}

func (d *directory) drop(e *entry) {
	delete(d.byID, e.ID)
	remove(d.byWatch[partitionOf(e.Watch)], e.Watch, e.ID)
	remove(d.byClient, e.ClientID, e.ID)
	remove(d.bySession, e.SessionKey, e.ID)
	remove(d.byOwner, e.Owner, e.ID)
	d.poke(partitionOf(e.Watch))
}

func (d *directory) poke(partition int) {
	select {
	case d.poked[partition] <- struct{}{}:
	default:
	}
}

// watches returns the records of a partition by watch. Those that are not stored yet are left out.
func (d *directory) watches(partition int) map[string][]Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make(map[string][]Record, len(d.byWatch[partition]))
	if !d.ready {
		return nil
	}
	for watch, ids := range d.byWatch[partition] {
		for id := range ids {
			if e := d.byID[id]; e.Revision > 0 {
				all[watch] = append(all[watch], e.Record)
			}
		}
	}
	return all
}

func (d *directory) get(id string) (Record, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.byID[id]
	if e == nil || e.Revision == 0 {
		return Record{}, false
	}
	return e.Record, true
}

// of returns the records under a key of one of the indexes, oldest first.
func (d *directory) of(index map[string]set, key string) []Record {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.records(maps.Keys(index[key]))
}

// connected returns the records of all clients for which is says yes.
func (d *directory) connected(is func(client string) bool) []Record {
	d.mu.Lock()
	clients := slices.Collect(maps.Keys(d.byClient))
	d.mu.Unlock()
	clients = slices.DeleteFunc(clients, func(c string) bool { return !is(c) })
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []Record
	for _, c := range clients {
		all = append(all, d.records(maps.Keys(d.byClient[c]))...)
	}
	return all
}

func (d *directory) records(ids func(func(string) bool)) []Record {
	var list []Record
	for id := range ids {
		if e := d.byID[id]; e != nil && e.Revision > 0 {
			list = append(list, e.Record)
		}
	}
	slices.SortFunc(list, func(a, b Record) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return list
}

// count returns how many subscriptions each source has, and how many paths are watched for them.
func (d *directory) count() (subscriptions, watches map[string]int) {
	subscriptions, watches = map[string]int{}, map[string]int{}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range Partitions {
		for _, ids := range d.byWatch[i] {
			for id := range ids {
				source := d.byID[id].Resource.Source
				if subscriptions[source] += len(ids); len(ids) > 0 {
					watches[source]++
				}
				break
			}
		}
	}
	return subscriptions, watches
}

func add(index map[string]set, key, id string) {
	if index[key] == nil {
		index[key] = set{}
	}
	index[key][id] = struct{}{}
}

func remove(index map[string]set, key, id string) {
	delete(index[key], id)
	if len(index[key]) == 0 {
		delete(index, key)
	}
}
