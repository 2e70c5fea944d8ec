package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/internal/limit"
)

// forgePlaces is how many connections the git server has open at once, as servers bound what
// each request starts: two processes of git.
const forgePlaces = 64

// A forgeLoad is what a git server had to do since it was last asked.
type forgeLoad struct {
	Address  string        // of the server
	Cert     []byte        // DER, to be trusted
	Requests int           // HTTP requests
	Busiest  int           // of these in one second, at the most
	CPU      time.Duration // of the server and of git's processes
}

// A forge is a git server over HTTPS: git's own http-backend.
type forge struct {
	mu      sync.Mutex
	seconds map[int64]int // requests
	cpu     time.Duration // when it was last asked
}

// runForge is the git server's process: it serves the repository below a folder on loopback,
// and answers each line with a forgeLoad.
func runForge(args []string) error {
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return fmt.Errorf("ask git where its programs are: %w", err)
	}
	backend := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"), Env: []string{
		"GIT_PROJECT_ROOT=" + args[0], "GIT_HTTP_EXPORT_ALL=1",
	}}
	pair, err := loopbackCertificate()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	f := &forge{seconds: map[int64]int{}}
	srv := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			f.seconds[time.Now().Unix()]++
			f.mu.Unlock()
			backend.ServeHTTP(w, r)
		}),
	}
	go func() { // ends with the process
		fmt.Fprintln(os.Stderr, "git server:", srv.ServeTLS(limit.Listener(l, forgePlaces), "", ""))
	}()
	enc := json.NewEncoder(os.Stdout)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		load := f.load()
		load.Address, load.Cert = l.Addr().String(), pair.Certificate[0]
		if err := enc.Encode(load); err != nil {
			return err
		}
	}
	return nil
}

// load returns what was done since the last call.
func (f *forge) load() forgeLoad {
	f.mu.Lock()
	defer f.mu.Unlock()
	var l forgeLoad
	for _, n := range f.seconds {
		l.Requests += n
		l.Busiest = max(l.Busiest, n)
	}
	clear(f.seconds)
	var all time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			all += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	l.CPU = all - f.cpu
	f.cpu = all
	return l
}

func loopbackCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
