# shmail: builds the programs and the tests into build/. `make help` lists what there is to make.
# Sources, tests and manual pages are found by wildcard: a new one needs no line here.

VERSION = 0.1.0
PREFIX  = /usr/local
MANDIR  = $(PREFIX)/share/man
HOST    = 127.0.0.1
PORT    = 8887

# SANITIZE=1 builds with ASan and UBSan, FUZZ=1 with clang for libFuzzer, each in a tree of its own.
# STATIC=1 makes programs that need no library at run time, and know numeric addresses and localhost only.
BUILD := build$(if $(FUZZ),/fuzz,$(if $(SANITIZE),/sanitize,$(if $(STATIC),/static)))

# For packagers; WERROR= lets a newer compiler warn.
CFLAGS ?= $(if $(SANITIZE)$(FUZZ),-O1,-O3) -g
WERROR  = -Werror

STANDARD := -std=c11 -D_GNU_SOURCE -DSHMAIL_VERSION='"$(VERSION)"'
WARNINGS  = -Wall -Wextra -Wpedantic -Wshadow -Wconversion $(WERROR)
STANDARD += $(if $(STATIC),-DSHMAIL_STATIC)
ifneq ($(FUZZ),)
CC       := clang
endif
OBJCOPY   = objcopy
optimises = $(filter-out -O0,$(filter -O%,$(CFLAGS)))
HARDEN   := -fstack-protector-strong -fno-common -fPIE
# The same tree gives the same bytes wherever it lies.
HARDEN   += -ffile-prefix-map='$(CURDIR)'=.
HARDEN   += $(if $(filter x86_64-% i%86-%,$(shell $(CC) -dumpmachine 2>&1)),-fcf-protection)
ifneq ($(SANITIZE)$(FUZZ),)
HARDEN   += -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifneq ($(optimises),)
HARDEN   += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif
# The programs are optimised as a whole; the tests link the same objects one by one, which is quicker. LTO= turns
# it off, as do a compiler that cannot make objects for both and one that was told not to optimise.
is_gcc   := $(findstring Free Software,$(shell $(CC) --version 2>&1))
LTO      := $(if $(SANITIZE)$(FUZZ),,$(if $(optimises),$(if $(is_gcc),-flto=auto -ffat-lto-objects)))
COMPILE   = $(CC) $(STANDARD) $(CPPFLAGS) $(CFLAGS) $(LTO) $(HARDEN) $(if $(FUZZ),-fsanitize=fuzzer-no-link) $(WARNINGS) -Iinclude
LINK      = $(CC) $(CFLAGS) $(HARDEN) $(if $(STATIC),-static-pie,-pie) -Wl,-z,relro,-z,now -Wl,-z,noexecstack $(LDFLAGS)
LINK_ALL  = $(LINK) $(LTO)
LINK_EACH = $(LINK) $(if $(LTO),-fno-lto)

# Each program is linked from the objects of its own rooms only, so that one that reaches into another room
# does not link. The archives are for the tests: everything but the files that hold main.
objects   = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard $(1:%=%/*.c)))
BASE     := $(call objects,src/base)
STORE    := $(call objects,src/store)
PROTOCOL := $(call objects,src/protocol)
SERVER   := $(call objects,src/server)
CTL      := $(call objects,src/ctl)
CLIENT   := $(call objects,client)
BENCH    := $(call objects,client/bench)
PEER_OBJECTS := $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/bench/peer_*.c))

BIN      := $(if $(wildcard client/main.c),$(BUILD)/shmail)
BIN      += $(if $(wildcard client/bench/main.c),$(BUILD)/shmail-bench)
SBIN     := $(if $(wildcard src/server/main.c),$(BUILD)/shmaild)
SBIN     += $(if $(wildcard src/ctl/main.c),$(BUILD)/shmailctl)
TESTS    := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/test_*.c))
TOOLS    := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/tool_*.c))
FUZZERS  := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))
PEERS    := $(BUILD)/tests/bench/bench-peers
BATS     := $(wildcard bats/*.bats)
PAGES    := $(wildcard src/*/*.[1578] client/*.[178] client/bench/*.[178])
LIMITS   := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bench/limit_*.c) tests/bench/tool_start.c)
FILL     := $(BUILD)/tests/bench/tool_fill
SOURCES  := $(wildcard src/*/*.c client/*.c client/bench/*.c tests/*.c tests/coverage/*.c tests/bench/*.c)
HEADERS  := $(wildcard include/*.h src/*/*.h client/*.h client/bench/*.h tests/*.h tests/bench/*.h)
SCRIPTS  := $(wildcard contrib/bootstrap tests/run tests/secrets tests/coverage/run .ci/run contrib/bats/*.bash contrib/completion/*.bash bats/*.bash) $(BATS)
ROOMS    := -Isrc/base -Isrc/store -Isrc/protocol -Isrc/server -Iclient -Iclient/bench -Itests/bench
SOURCES  += $(wildcard tests/fuzz/*.c)
HEADERS  += $(wildcard tests/fuzz/*.h)
SCRIPTS  += tests/fuzz/run tests/model/run

all: $(BIN) $(SBIN) ## build the programs (the default)

$(BUILD)/shmaild:   $(SERVER) $(PROTOCOL) $(STORE) $(BASE)
$(BUILD)/shmailctl: $(CTL) $(STORE) $(BASE)
$(BUILD)/shmail:    $(CLIENT) $(BASE)
$(BUILD)/shmail-bench: $(BENCH) $(BASE)
$(BUILD)/shmaild $(BUILD)/shmailctl $(TESTS) $(TOOLS): crypt = -lcrypt
# So that its code and constants can lie in huge pages (src/server/text.h), before the first of the variables,
# which is aligned so; in one part, as each mapping more costs every connection its share.
$(if $(STATIC),$(BUILD)/shmaild) $(BUILD)/tests/test_text: aligned = -Wl,-z,noseparate-code,--sort-section=alignment
# With pages that leave a hole in between.
$(BUILD)/tests/test_text: aligned += -Wl,-z,max-page-size=65536

$(BIN) $(SBIN): $(BUILD)/sources
	@echo '  LINK  $@'
	$(Q)$(LINK_ALL) $(aligned) -o $@ $(filter %.o,$^) $(crypt)

$(BUILD)/libshmail.a: $(filter-out %/main.o,$(SERVER) $(PROTOCOL) $(STORE) $(BASE))
$(BUILD)/libclient.a: $(filter-out %/main.o,$(CLIENT))
$(BUILD)/libbench.a: $(filter-out %/main.o,$(BENCH)) $(filter-out %/peer_main.o,$(PEER_OBJECTS))
$(BUILD)/libshmail.a $(BUILD)/libclient.a $(BUILD)/libbench.a: $(BUILD)/sources
	@echo '  AR    $@'
	@rm -f $@
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

$(TESTS) $(TOOLS): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(BUILD)/obj/tests/harness.o \
                   $(BUILD)/libbench.a $(BUILD)/libclient.a $(BUILD)/libshmail.a
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	$(Q)$(LINK_EACH) $(aligned) -o $@ $^ $(crypt)

# It stops at every instruction, which are to be those that the programs have.
$(BUILD)/tests/test_steps: LINK_EACH = $(LINK_ALL)

# shmail-bench with the protocols of the programs that shmail is measured against.
$(PEERS): $(PEER_OBJECTS) $(filter-out %/main.o,$(BENCH)) $(BASE) $(BUILD)/sources
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	$(Q)$(LINK_ALL) -o $@ $(filter %.o,$^)

$(FILL): $(BUILD)/obj/tests/bench/tool_fill.o $(BUILD)/libshmail.a
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	$(Q)$(LINK_EACH) -o $@ $^ -lcrypt

# What make bench measures beside us: static, as the cost of a fork follows its mappings; never sanitized.
$(LIMITS): $(BUILD)/%: %.c tests/bench/limit_program.h tests/bench/limit_memory.h tests/bench/limit_group.h \
    src/base/crc32c.c include/crc32c.h $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	$(Q)$(CC) $(STANDARD) -O2 $(WARNINGS) -Iinclude -static -o $@ $< src/base/crc32c.c

# The targets of tests/fuzz, in a world where time stands still (still.h): here to replay their corpora, with
# FUZZ=1 for libFuzzer.
fuzz_main = $(addprefix $(BUILD)/obj/tests/,$(if $(FUZZ),fuzz/libfuzzer.o,fuzz/replay.o harness.o))
$(FUZZERS): $(BUILD)/tests/%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/obj/tests/fuzz/still.o $(fuzz_main) \
            $(BUILD)/libstill.a
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	$(Q)$(LINK_EACH) $(if $(FUZZ),-fsanitize=fuzzer) -o $@ $^

$(BUILD)/libstill.a: $(BUILD)/libshmail.a tests/fuzz/still.syms
	@echo '  AR    $@'
	$(Q)$(OBJCOPY) --redefine-syms=tests/fuzz/still.syms $< $@

# Tests may look into the rooms; the rooms see their own headers and the doors in include/.
$(BUILD)/obj/tests/%.o: rooms = $(ROOMS)
$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  CC    $<'
	$(Q)$(COMPILE) $(rooms) -MMD -MP -c -o $@ $<

# Tests stand in for calls of the C library, which checked ones would be another name for.
$(BUILD)/obj/tests/%.o: private HARDEN := $(filter-out -D_FORTIFY_SOURCE=%,$(HARDEN))

# What no figure depends on is compiled quickly. Private: $(BUILD)/flags, which it needs, is the same for all.
quick = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard tests/*.c tests/fuzz/*.c))
$(quick): private LTO =
$(quick): private CFLAGS := $(patsubst -O3,-O1,$(CFLAGS))

# The names of all system calls, for a line in the log.
$(BUILD)/obj/src/server/breach.o: rooms = -I$(BUILD)
$(BUILD)/obj/src/server/breach.o: $(BUILD)/call_names.inc
$(BUILD)/call_names.inc: $(BUILD)/flags
	$(Q)echo '#include <sys/syscall.h>' | $(CC) -E -dM - | \
	    sed -n 's/^#define SYS_\([a-z0-9_]*\) .*/{SYS_\1, "\1"},/p' | LC_ALL=C sort >$@

-include $(wildcard $(BUILD)/obj/*/*.d $(BUILD)/obj/*/*/*.d)

# Written only when what they hold has changed: other flags rebuild everything, a removed source relinks.
$(BUILD)/flags:   export CONTENT = $(COMPILE) $(LINK)
$(BUILD)/sources: export CONTENT = $(SOURCES)
$(BUILD)/flags $(BUILD)/sources: FORCE
	@mkdir -p $(@D)
	@echo "$$CONTENT" | cmp -s - $@ || echo "$$CONTENT" >$@

# V=1 shows whole commands.
Q = $(if $(filter-out 0,$(V)),,@)

run: all ## build, then serve a private store on HOST, PORT in the foreground
	@printf '%s\n' "Try next, in another terminal:" \
	    "    printf 'REGISTER alice secret\\n' | nc -N $(HOST) $(PORT)" \
	    "    $(BUILD)/shmail $(HOST) $(PORT)"
	@exec $(BUILD)/shmaild -e $(HOST) $(PORT)

check: tests ## build and run every test
	@SHMAIL_BUILD=$(BUILD) tests/run

check-c: $(TESTS) $(TOOLS) $(FUZZERS) ## the C tests alone
	@SHMAIL_BUILD=$(BUILD) tests/run $(TESTS) $(FUZZERS)

check-bats: all $(TOOLS) $(PEERS) ## the tests through the real programs alone
	@SHMAIL_BUILD=$(BUILD) tests/run $(BATS)

guess: all ## guess passwords from 64 connections for 30 seconds, as make check does for 4
	@SHMAIL_BUILD=$(BUILD) SHMAIL_GUESS_SECONDS=30 tests/run bats/guard.bats

models: ## every state of the store's lock and of who waits for the disk, and mutants that must fail
	@tests/model/run

attack: all $(TOOLS) ## attack a server by 10,000 connections at once and 1,000,000 in a row
	@SHMAIL_BUILD=$(BUILD) SHMAIL_ATTACK=1000 SHMAIL_TEST_LIMIT=7200 BATS_TEST_TIMEOUT=7200 \
	    tests/run bats/attack.bats

coverage: ## run every test with counters: what they have taken of the store's core, branch by branch
	@tests/coverage/run

# What has a long form, by these variables.
SOAK      = torture steps histories model checkpoint journal_stale journal_torn repair_faults segment_flips
SOAK_LONG = SHMAIL_LONG=1 SHMAIL_STEPS_ALL=1 SHMAIL_TORTURE_KILLS=200000 SHMAIL_MODEL_OPERATIONS=100000000

soak: tests ## the long forms, hours: 200,000 kills, every step, 100,000 histories, 100,000,000 operations
	@SHMAIL_BUILD=$(BUILD) SHMAIL_TEST_LIMIT=86400 $(SOAK_LONG) tests/run $(SOAK:%=$(BUILD)/tests/test_%)

tests: all $(TESTS) $(TOOLS) $(PEERS) $(FUZZERS) $(LIMITS) $(FILL) ## build the programs and the tests, and run nothing

fuzz: ## fuzz each target of tests/fuzz for SECONDS=N (60), or those of TARGETS='json smsp'
	@tests/fuzz/run $(or $(SECONDS),60) $(TARGETS)

fuzzers: $(FUZZERS)

.PHONY: fuzz fuzzers

bench: all $(PEERS) $(LIMITS) $(FILL) ## measure all beside its peers and the machine's limits (QUICK=1; ROWS='NAME...')
	@$(MAKE) --no-print-directory STATIC=1 build/static/shmaild
	@tests/bench/run.py $(BUILD) $(if $(filter-out 0,$(QUICK)),--quick) $(ROWS)

bench-instructions: all ## count the instructions of a request of each verb, against the record
	@mkdir -p $(BUILD)/bench
	@tests/bench/instructions.py $(BUILD) >$(BUILD)/bench/instructions.tsv
	@tests/bench/compare_instructions.py tests/bench/instructions.tsv $(BUILD)/bench/instructions.tsv

bench-instructions-record: all ## make what they count now the record
	@mkdir -p $(BUILD)/bench
	@tests/bench/instructions.py $(BUILD) >$(BUILD)/bench/record.tsv
	@cp $(BUILD)/bench/record.tsv tests/bench/instructions.tsv

install: all ## install programs and manual pages (DESTDIR=, PREFIX=)
	@set -e; for program in $(BIN); do \
	    install -D -m 755 "$$program" "$(DESTDIR)$(PREFIX)/bin/$${program##*/}"; done
	@set -e; for program in $(SBIN); do \
	    install -D -m 755 "$$program" "$(DESTDIR)$(PREFIX)/sbin/$${program##*/}"; done
	@install -D -m 644 contrib/completion/shmail.bash \
	    "$(DESTDIR)$(PREFIX)/share/bash-completion/completions/shmail"
	@for program in shmail-bench shmaild shmailctl; do \
	    ln -sf shmail "$(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$program"; done
	@set -e; for page in $(PAGES); do \
	    install -D -m 644 "$$page" "$(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}"; done

uninstall: ## remove what install has put there
	@for program in shmail shmail-bench shmaild shmailctl; do \
	    rm -f "$(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$program"; done
	@for program in $(BIN); do rm -f "$(DESTDIR)$(PREFIX)/bin/$${program##*/}"; done
	@for program in $(SBIN); do rm -f "$(DESTDIR)$(PREFIX)/sbin/$${program##*/}"; done
	@for page in $(PAGES); do rm -f "$(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}"; done

format: ## lay out every C file by .clang-format
	clang-format -i $(SOURCES) $(HEADERS)

format-check: ## say what format would change
	clang-format --dry-run -Werror $(SOURCES) $(HEADERS)

LINT = $(STANDARD) -Iinclude $(ROOMS) -I$(BUILD)

# cppcheck 2.10 stumbles over compound literals: what it then takes for uninitialised, the compilers and
# clang-tidy check.
lint: $(BUILD)/call_names.inc ## clang-tidy, cppcheck, shellcheck and mandoc
	@echo '  clang-tidy'
	$(Q)printf '%s\n' $(SOURCES) | xargs -P "$$(nproc)" -I FILE clang-tidy --quiet FILE -- $(LINT)
	@echo '  cppcheck'
	$(Q)cppcheck -q -j "$$(nproc)" --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	    --suppress=internalAstError --suppress=legacyUninitvar --suppress=uninitStructMember \
	    $(subst -std=,--std=,$(LINT)) $(SOURCES)
	@echo '  shellcheck'
	$(Q)shellcheck -x $(SCRIPTS)
	@echo '  mandoc'
	$(Q)$(if $(PAGES),mandoc -T lint -W warning $(PAGES))

clean: ## remove build/
	rm -rf build

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' Makefile | while read -r target what; do \
	    printf '    make %-26s%s\n' "$$target" "$$what"; done

.PHONY: all run attack check check-c check-bats guess models soak coverage tests install uninstall format format-check
.PHONY: bench bench-instructions bench-instructions-record lint clean help FORCE
.DELETE_ON_ERROR:
