package bfd_test

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/bfd"
)

const (
	ms = time.Millisecond
	us = time.Microsecond
)

func bytesOf(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, hex string
		reject    bfd.Reject
		want      bfd.Packet
	}{
		{
			"a first packet, DOWN", "20400318000000010000000000 0f4240000186a000000000", 0,
			bfd.Packet{State: bfd.Down, Multiplier: 3, My: 1, DesiredMinTx: time.Second, RequiredMinRx: 100 * ms},
		},
		{
			"UP with a poll, as FRR sends it", "20e80318a1b2c3d4 0000002a 000186a0 000186a0 0000c350", 0,
			bfd.Packet{State: bfd.Up, Poll: true, Independent: true, Multiplier: 3, My: 0xa1b2c3d4, Your: 42, DesiredMinTx: 100 * ms, RequiredMinRx: 100 * ms, RequiredMinEchoRx: 50 * ms},
		},
		{
			"DOWN after silence, final and demand", "21520118 00000007 00000009 00000001 00000000 00000000", 0,
			bfd.Packet{Diag: bfd.DetectionTimeExpired, State: bfd.Down, Final: true, Demand: true, Multiplier: 1, My: 7, Your: 9, DesiredMinTx: us},
		},
		{
			"octets after the packet are padding", "20400318 00000001 00000000 000f4240 000186a0 00000000 ffff", 0,
			bfd.Packet{State: bfd.Down, Multiplier: 3, My: 1, DesiredMinTx: time.Second, RequiredMinRx: 100 * ms},
		},
		{name: "nothing", hex: "", reject: bfd.RejectShort},
		{name: "23 octets", hex: "2040031800000001000000000 00f4240000186a0000000", reject: bfd.RejectShort},
		{name: "version 0", hex: "00400318 00000001 00000000 000f4240 000186a0 00000000", reject: bfd.RejectVersion},
		{name: "version 2", hex: "40400318 00000001 00000000 000f4240 000186a0 00000000", reject: bfd.RejectVersion},
		{name: "a length of 23", hex: "20400317 00000001 00000000 000f4240 000186a0 00000000", reject: bfd.RejectLength},
		{name: "a length beyond the datagram", hex: "20400319 00000001 00000000 000f4240 000186a0 00000000", reject: bfd.RejectLength},
		{name: "simple password", hex: "2044031e 00000001 00000000 000f4240 000186a0 00000000 010601616263", reject: bfd.RejectAuth},
		{name: "authentication without room for its section", hex: "20440318 00000001 00000000 000f4240 000186a0 00000000", reject: bfd.RejectAuth},
		{name: "multipoint", hex: "20410318 00000001 00000000 000f4240 000186a0 00000000", reject: bfd.RejectMultipoint},
		{name: "multiplier 0", hex: "20400018 00000001 00000000 000f4240 000186a0 00000000", reject: bfd.RejectMultiplier},
		{name: "my discriminator 0", hex: "20400318 00000000 00000000 000f4240 000186a0 00000000", reject: bfd.RejectMine},
		{name: "UP without your discriminator", hex: "20c00318 00000001 00000000 000f4240 000186a0 00000000", reject: bfd.RejectYours},
		{name: "INIT without your discriminator", hex: "20800318 00000001 00000000 000f4240 000186a0 00000000", reject: bfd.RejectYours},
		{
			"ADMIN_DOWN without your discriminator", "27000318 00000001 00000000 000f4240 000186a0 00000000", 0,
			bfd.Packet{Diag: bfd.AdministrativelyDown, Multiplier: 3, My: 1, DesiredMinTx: time.Second, RequiredMinRx: 100 * ms},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := bytesOf(t, string(bytes.ReplaceAll([]byte(tt.hex), []byte(" "), nil)))
			var p bfd.Packet
			if r := p.Parse(b); r != tt.reject {
				t.Fatalf("Parse = %v, want %v", r, tt.reject)
			}
			if tt.reject != 0 {
				return
			}
			if d := cmp.Diff(tt.want, p); d != "" {
				t.Errorf("packet (-want +got):\n%s", d)
			}
			if got := p.Append(nil); !bytes.Equal(got, b[:bfd.PacketLen]) {
				t.Errorf("Append = %x, want %x", got, b[:bfd.PacketLen])
			}
		})
	}
}

func TestCodecDoesNotAllocate(t *testing.T) {
	b := bytesOf(t, "20e80318a1b2c3d40000002a000186a0000186a00000c350")
	var p bfd.Packet
	buf := make([]byte, 0, bfd.PacketLen)
	if n := testing.AllocsPerRun(100, func() {
		if p.Parse(b) == bfd.Accepted {
			buf = p.Append(buf[:0])
		}
	}); n != 0 {
		t.Errorf("%v allocations for a packet in and out, want 0", n)
	}
}

func TestIntervalsSaturate(t *testing.T) {
	p := bfd.Packet{State: bfd.Down, Multiplier: 1, My: 1, DesiredMinTx: 1 << 62, RequiredMinRx: -1}
	var got bfd.Packet
	if r := got.Parse(p.Append(nil)); r != bfd.Accepted {
		t.Fatalf("Parse = %v", r)
	}
	if want := (1<<32 - 1) * us; got.DesiredMinTx != want || got.RequiredMinRx != 0 {
		t.Errorf("intervals = %v, %v, want %v, 0", got.DesiredMinTx, got.RequiredMinRx, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "2040031800000001000000000000f424000186a000000000",
		"20e80318a1b2c3d40000002a000186a0000186a00000c350", "2044031e0000000100000000000f4240000186a000000000010601616263",
		"ffffffffffffffffffffffffffffffffffffffffffffffff",
	} {
		b, _ := hex.DecodeString(s)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var p bfd.Packet
		if p.Parse(b) != bfd.Accepted {
			return
		}
		want := bytes.Clone(b[:bfd.PacketLen])
		want[3] = bfd.PacketLen // a longer one has nothing else that counts
		if got := p.Append(nil); !bytes.Equal(got, want) {
			t.Errorf("%x comes back as %x", want, got)
		}
		// Whatever it says, a session in any state survives it and keeps its own rules.
		s := bfd.New(bfd.Config{DesiredMinTx: 100 * ms, RequiredMinRx: 100 * ms, Multiplier: 3}, 7, func() uint32 { return 1 << 31 })
		s.Step(0, bfd.Start{})
		for now := time.Duration(0); now < 10*time.Second; now += time.Second {
			check(t, s, s.Step(now, bfd.Received{Packet: &p}))
			check(t, s, s.Step(now, bfd.TimerFired{}))
		}
	})
}

// check holds what a session sends to RFC 5880, section 6.8.7.
func check(t *testing.T, s *bfd.Session, actions []bfd.Action) {
	t.Helper()
	for _, a := range actions {
		p := a.Packet
		if a.Do != bfd.Transmit {
			continue
		}
		var back bfd.Packet
		if r := back.Parse(p.Append(nil)); r != bfd.Accepted {
			t.Errorf("%+v is refused: %v", p, r)
		}
		if p.State != bfd.Up && p.DesiredMinTx < bfd.SlowTx {
			t.Errorf("%v announces %v, want at least a second", p.State, p.DesiredMinTx)
		}
		if p.Poll && p.Final {
			t.Errorf("%+v is both poll and final", p)
		}
	}
	if s.Deadline() < 0 {
		t.Errorf("deadline %v", s.Deadline())
	}
}
