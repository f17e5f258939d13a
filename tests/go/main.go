// Reads a Weft audit bundle with the Go project's own packages for transparency logs, and nothing of ours.
//
//	main DIR VKEY     the note, every tile, every entry, proofs; prints "size root" or says what is wrong
//
// Run by tests/tests/bundle.rs with the sources that Debian's golang-golang-x-mod-dev installs.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// folder reads tiles of height 8 in the C2SP layout, which leaves the height out of the path.
type folder string

func (dir folder) Height() int                     { return 8 }
func (dir folder) SaveTiles([]tlog.Tile, [][]byte) {}
func (dir folder) read(tile tlog.Tile) ([]byte, error) {
	name := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
	return os.ReadFile(filepath.Join(string(dir), strings.Replace(name, "tile/8/", "tile/", 1)))
}
func (dir folder) ReadTiles(tiles []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range tiles {
		content, err := dir.read(tile)
		if err != nil {
			return nil, err
		}
		data = append(data, content)
	}
	return data, nil
}

func main() {
	dir := folder(os.Args[1])
	verifier, err := note.NewVerifier(os.Args[2])
	check(err)
	message, err := os.ReadFile(filepath.Join(os.Args[1], "checkpoint"))
	check(err)
	opened, err := note.Open(message, note.VerifierList(verifier))
	check(err)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		check(fmt.Errorf("not a checkpoint of %s", verifier.Name()))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	root, err := base64.StdEncoding.DecodeString(lines[2])
	check(err)
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	// It believes no tile that does not lead to the root.
	hashes := tlog.TileHashReader(tree, dir)
	for at := int64(0); at < size; {
		width := size - at
		if width > 256 {
			width = 256
		}
		data, err := dir.read(tlog.Tile{H: 8, L: -1, N: at / 256, W: int(width)})
		check(err)
		for end := at + width; at < end; at++ {
			length := int(binary.BigEndian.Uint16(data))
			leaf, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, at)})
			check(err)
			if leaf[0] != tlog.RecordHash(data[2:2+length]) {
				check(fmt.Errorf("entry %d is not the one in the tree", at))
			}
			data = data[2+length:]
		}
	}
	for _, at := range []int64{0, size / 2, size - 1} {
		leaf, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, at)})
		check(err)
		proof, err := tlog.ProveRecord(size, at, hashes)
		check(err)
		check(tlog.CheckRecord(proof, size, tree.Hash, at, leaf[0]))
		older, err := tlog.TreeHash(at+1, hashes)
		check(err)
		consistent, err := tlog.ProveTree(size, at+1, hashes)
		check(err)
		check(tlog.CheckTree(consistent, size, tree.Hash, at+1, older))
	}
	fmt.Println(size, tree.Hash)
}
