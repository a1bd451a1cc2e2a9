package accesslog

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// A leaf is what verifying needs of an entry, found out without the entries before it.
type leaf struct {
	payload []byte
	hash    tlog.Hash
	at      int64 // the entry's time
	err     error // it has none
	placed  bool  // it has the index that it should have
}

func leafOf(payload []byte, index uint64) leaf {
	l := leaf{payload: payload, hash: recordHash(payload), placed: payloadIndex(payload, index)}
	l.at, l.err = payloadTime(payload)
	return l
}

// A readBlock is a block, unpacked and hashed.
type readBlock struct {
	leaves []leaf
	err    error
}

// eachBlock calls fn for the blocks in their order until it returns an error.
// Unpacking and hashing, which are most of the work, run ahead on all processors.
func eachBlock(v *view, blocks []block, fn func(b *block, leaves []leaf, err error) error) error {
	workers := min(runtime.GOMAXPROCS(0), len(blocks))
	done := make([]chan readBlock, len(blocks))
	for i := range done {
		done[i] = make(chan readBlock, 1)
	}
	jobs := make(chan int)
	ahead := make(chan struct{}, 2*workers) // blocks that are held unpacked
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	wg.Go(func() {
		defer close(jobs)
		for i := range blocks {
			select {
			case ahead <- struct{}{}:
			case <-stop:
				return
			}
			select {
			case jobs <- i:
			case <-stop:
				return
			}
		}
	})
	for range workers {
		wg.Go(func() {
			for i := range jobs {
				done[i] <- readOne(v, &blocks[i])
			}
		})
	}
	for i := range blocks {
		b := <-done[i]
		<-ahead
		if err := fn(&blocks[i], b.leaves, b.err); err != nil {
			return err
		}
	}
	return nil
}

func readOne(v *view, b *block) readBlock {
	payloads, err := b.load(v.f)
	if err != nil {
		return readBlock{err: err}
	}
	leaves := make([]leaf, len(payloads))
	for j, p := range payloads {
		leaves[j] = leafOf(p, b.first+uint64(j))
	}
	return readBlock{leaves: leaves}
}

// block takes a block's entries into the tree.
func (r *verifier) block(ctx context.Context, v *view, b *block, leaves []leaf, err error) error {
	if err != nil {
		return v.damaged(b.first, b.offset, fmt.Sprintf("%v: something in entries %d to %d was changed", err, b.first, b.first+uint64(b.count)-1))
	}
	for j := range leaves {
		if b.first+uint64(j) < r.tree.n {
			continue
		}
		if err := r.leaf(ctx, v, &leaves[j], b.offset); err != nil {
			return err
		}
		if j == 0 && b.oldest != r.last.UnixNano() {
			return v.damaged(b.first, v.foot.index, "the index has another time than the entry")
		}
	}
	if b.newest != r.last.UnixNano() {
		return v.damaged(b.first, v.foot.index, "the index has another time than the entry")
	}
	return nil
}
