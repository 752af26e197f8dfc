// Package hexpair writes bytes as pairs of hexadecimal digits and reads them again; white space between pairs is ignored.
package hexpair

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"unicode"
)

// Encode writes all of r as digits, followed by the end of a line.
func Encode(w io.Writer, r io.Reader) error {
	if _, err := io.Copy(hex.NewEncoder(w), r); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// Decode writes the bytes that the digits of r stand for.
func Decode(w io.Writer, r io.Reader) error {
	in, out := bufio.NewReader(r), bufio.NewWriter(w)
	var pair []byte
	for offset := 0; ; offset++ {
		digit, err := in.ReadByte()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if unicode.IsSpace(rune(digit)) {
			continue
		}
		if pair = append(pair, digit); len(pair) < 2 {
			continue
		}
		var value [1]byte
		if _, err := hex.Decode(value[:], pair); err != nil {
			return fmt.Errorf("byte %d: %w", offset, err)
		}
		out.WriteByte(value[0])
		pair = pair[:0]
	}
	if len(pair) != 0 {
		return io.ErrUnexpectedEOF
	}
	return out.Flush()
}
