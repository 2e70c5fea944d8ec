# Each target is one command; what is to be decided is decided in Go or in a script.
# SUDO is put before apt-get only, and only when something is missing and you are not root.
SUDO ?= sudo
VERSION ?= 0.1.0-dev
LDFLAGS = -X github.com/hareconcile/hareconcile/internal/build.Version=$(VERSION)

.PHONY: build deps demo demo-haproxy test soak bench fuzz docs update clean

build: ## the programs, in bin/
	go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...
	go build -ldflags '$(LDFLAGS)' -o bin/hareconcile-plugin-haproxy ./plugins/haproxy
	go build -ldflags '$(LDFLAGS)' -o bin/hareconcile-plugin-exec ./plugins/exec
	go build -ldflags '$(LDFLAGS)' -o bin/hareconcile-plugin-nginx ./plugins/nginx
	go build -ldflags '$(LDFLAGS)' -o bin/hareconcile-plugin-systemd ./plugins/systemd

deps: ## what tests and demo need of Debian, where it is missing
	@SUDO='$(SUDO)' sh test/deps.sh
	@sh test/haproxies.sh

demo: deps build ## the reference lab, from a push to a failover, checked step by step
	go run ./test/demo

demo-haproxy: deps build ## the haproxy pair, from a push to haproxies that stop, freeze and drain, checked step by step
	go run ./test/demo haproxy

test: deps ## everything that CI runs, the longest package first; storms alone; with the race detector where much goes on at once
	go run ./test/check
	go run ./test/count \
		-p 3 -vet=off -timeout 10m ./test/cluster ./test/faults ./test/interop ./hcl ./test/script ./test/arch ./test/bench/... ./test/conformance ./test/ipvs \
			./policies ./internal/compile ./internal/gitsource ./internal/jail ./internal/uml ./plugins/haproxy ./plugins/nginx ./plugins/exec ./plugins/systemd ./plugins/sdk/... \
			./internal/agent ./internal/rollout ./test/crash ./reconcile/planfile ./reconcile/kind/tunnel ./reconcile/kind/haproxy ./cmd/... \
		-- -vet=off -timeout 10m ./test/storm \
		-- -vet=off -run 'TestSimulation$$|TestRandomWalkInAFake' ./internal/vrrpd ./internal/vrrpd/holding \
		-- -p 4 -race -vet=off -timeout 10m ./internal/vrrpd/... ./...

soak: deps ## the tests with full counts, and those of haproxy with another release
	HARECONCILE_TEST_HAPROXY=haproxy3 go run ./test/count -timeout 1h ./internal/haproxy/... ./reconcile/kind/haproxy ./plugins/haproxy ./internal/pluginhost
	HARECONCILE_SOAK=1 go run ./test/count -timeout 3h ./...

bench: deps build ## beside keepalived, in one run; what needs IPVS in an emulated machine
	@SUDO='$(SUDO)' sh test/deps.sh bench
	@sh test/bench/kernel.sh
	go run ./test/bench

fuzz: ## every fuzz target for a while
	go run ./test/fuzz

docs: ## docs/reference, from the language's schema
	go test ./hcl -run ReferenceIsGenerated -update

update: ## golden files
	go test ./hcl ./reconcile ./reconcile/planfile ./test/script -update

clean:
	rm -rf bin
