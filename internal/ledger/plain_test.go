package ledger

import "testing"

// TestPlainKnowsEveryByte has every byte at every place of a word and behind it.
func TestPlainKnowsEveryByte(t *testing.T) {
	for c := range 256 {
		want := c >= ' ' && c <= '~' && c != '"' && c != '\\'
		for _, filling := range []byte{' ', '~', '!', '[', ']', '#', 'a'} {
			for at := range 19 {
				b := make([]byte, 19)
				for i := range b {
					b[i] = filling
				}
				b[at] = byte(c)
				if got := plain(string(b)); got != want {
					t.Fatalf("plain(%q) = %v, want %v", b, got, want)
				}
			}
		}
	}
}
