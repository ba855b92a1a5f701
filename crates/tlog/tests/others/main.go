// Believes a log by other hands: golang.org/x/mod/sumdb, which is what Go's own checksum database is verified with, and a witness's
// cosignature by those of the people who run the public ones.
//
// Reads one JSON document from standard input, and says "fine" or what does not hold.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type claim struct {
	Key         string
	Witness     string
	Note        string
	Entries     []string
	Inclusion   []proof
	Consistency []proof
}

// Of Index in the tree of Size, or that the tree of Size begins with the one of Index.
type proof struct {
	Index, Size int64
	Path        []tlog.Hash
}

func main() {
	if err := believe(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("fine")
}

func believe() error {
	var log claim
	if err := json.NewDecoder(os.Stdin).Decode(&log); err != nil {
		return err
	}
	roots, leaves, err := roots(log.Entries)
	if err != nil {
		return err
	}
	if err := checkpoint(log, roots); err != nil {
		return err
	}
	for _, p := range log.Inclusion {
		if err := tlog.CheckRecord(p.Path, p.Size, roots[p.Size], p.Index, leaves[p.Index]); err != nil {
			return fmt.Errorf("entry %d of %d: %w", p.Index, p.Size, err)
		}
	}
	for _, p := range log.Consistency {
		if err := tlog.CheckTree(p.Path, p.Size, roots[p.Size], p.Index, roots[p.Index]); err != nil {
			return fmt.Errorf("%d entries of %d: %w", p.Index, p.Size, err)
		}
	}
	return nil
}

// roots gives the root of the tree of every size.
func roots(entries []string) (roots, leaves []tlog.Hash, err error) {
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	for size := int64(0); size <= int64(len(entries)); size++ {
		root, err := tlog.TreeHash(size, read)
		if err != nil {
			return nil, nil, err
		}
		roots = append(roots, root)
		if size == int64(len(entries)) {
			break
		}
		added, err := tlog.StoredHashes(size, []byte(entries[size]), read)
		if err != nil {
			return nil, nil, err
		}
		stored = append(stored, added...)
		leaves = append(leaves, tlog.RecordHash([]byte(entries[size])))
	}
	return roots, leaves, nil
}

func checkpoint(log claim, roots []tlog.Hash) error {
	verifier, err := note.NewVerifier(log.Key)
	if err != nil {
		return err
	}
	witness, err := cosignature.NewVerifierForCosignatureV1(log.Witness)
	if err != nil {
		return err
	}
	opened, err := note.Open([]byte(log.Note), note.VerifierList(verifier, witness))
	if err != nil {
		return err
	}
	if len(opened.Sigs) != 2 {
		return fmt.Errorf("%d signatures hold, not the log's and the witness's", len(opened.Sigs))
	}
	var size int64
	var root string
	if _, err := fmt.Sscanf(strings.SplitN(opened.Text, "\n", 2)[1], "%d\n%s\n", &size, &root); err != nil {
		return err
	}
	if size != int64(len(log.Entries)) || root != roots[size].String() {
		return fmt.Errorf("the checkpoint says %d and %s, the entries %d and %s", size, root, len(log.Entries), roots[len(log.Entries)])
	}
	return nil
}
