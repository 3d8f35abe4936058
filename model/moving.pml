/* The protocol of moving connections: a rolling update of two servers, with clients that recover.
   README.md says how to read it, what it leaves out, and where each step is in the code.

   Each of these switches puts one order back that the code avoids:
   HISTORY_BEFORE_SUBSCRIPTION, DRAIN_BEFORE_SETTLED, MARK_BEFORE_ARRIVAL, SCALE_BEFORE_SURE, START_BEFORE_LOWERED,
   QUIESCE_BEFORE_SPARED */

#ifndef CLIENTS
#define CLIENTS 2 /* at most; connected to servers 0 and 1 at the beginning */
#endif
#ifndef PUBLICATIONS
#define PUBLICATIONS 2
#endif
#ifndef HISTORY
#define HISTORY 1 /* publications that the history keeps */
#endif
#ifndef FAULTS
#define FAULTS 1 /* a crash of a server, a failing probe, a lost connection, or a brake */
#endif
#ifndef OPERATOR_CRASHES
#define OPERATOR_CRASHES 1
#endif
#ifndef MAX_UNAVAILABLE
#define MAX_UNAVAILABLE 0
#endif
#define DESIRED 2
#define MAX_SURGE 1
#define FLOOR (DESIRED - MAX_UNAVAILABLE)
#define BUDGET 2 /* connections per second of the whole cluster */
#define MINIMUM_RATE 1
#define SERVERS 3 /* places for pods: a new one takes the place of one that is gone */
#define OLD 0
#define NEW 1
#define UNKNOWN 15
#define KEEP 7

/* Actions of the operator on a server; ScaleRevision is below. */
mtype:action = { Quiesce, Resume, Drain, SetDeletionCost }
/* A client is away, or its subscription has come so far. */
mtype:way = { Away, Joining, Listening, Positioned, Subscribed }

typedef PodState {
  bit exists;
  bit revision;
  bit serving;   /* label: behind the Service */
  bit ready;     /* condition: what the kubelet has told the API server */
  bit marked;    /* lowest deletion cost */
  bit routed;    /* proxies send new connections here */
  bit up;        /* the process runs */
  bit healthy;   /* its probe succeeds, unless it drains */
  bit disturbed; /* a fault is why it may not be ready */
  bit certain;   /* its probe succeeded so recently that it cannot have failed often enough since */
  bit draining;
  byte rate;     /* of the drain */
  bit live;      /* the broker delivers the channel here */
  byte heard;    /* last publication that the broker delivered here */
  byte position; /* last publication that was delivered to subscribers */
}
typedef ClientState {
  mtype:way way = Away;
  byte server;    /* the present one, or the last one while away */
  byte has;       /* last publication that it has, or was told that it misses */
  byte offset;    /* of its subscription in progress: the last publication when the history was read */
  byte since;     /* the same: what the broker had delivered when it began to listen */
  bit recovered;
}

PodState pod[SERVERS];
ClientState client[CLIENTS];
byte top;                     /* publications so far: the history has the last HISTORY of them */
byte replicas[2];             /* wanted pods of the ReplicaSets */
mtype:action plan[SERVERS];
byte scale[2];                /* planned for replicas */
byte share;                   /* planned rate of drains */
bit planned;
bit hold;                     /* a brake: move nobody */
bit excused;                  /* a server that was down has gone in the place of a drained one */
byte faults = FAULTS;
byte crashes = OPERATOR_CRASHES;

/* Scratch variables are set before they are read, within one step, and are no part of the state. */

hidden byte _client, _pod, _n, _m, _at, _missed, _rank;
hidden byte _old, _new, _available, _may_serve, _away, _holding, _share, _lower, _gone, _sure;

#define is_at(c, s) (client[c].way != Away && client[c].server == s)
#define is_subscribed(c, s) (client[c].way == Subscribed && client[c].server == s)
#define has_left(c, s) (client[c].way == Away && client[c].server == s)
#if CLIENTS > 1
#define connections_of(s) (is_at(0, s) + is_at(1, s))
#define anybody_away (client[0].way == Away || client[1].way == Away)
#define awaited_from(s) (has_left(0, s) || has_left(1, s))
#else
#define connections_of(s) is_at(0, s)
#define anybody_away (client[0].way == Away)
#define awaited_from(s) has_left(0, s)
#endif

#define is_of(s, r) (pod[s].exists && pod[s].revision == r)
#define pods_of(r) (is_of(0, r) + is_of(1, r) + is_of(2, r))

/* Servers that new connections reach, and those that only a fault keeps from it. */
inline assert_enough_serve() {
  _n = 0;
  for (_pod : 0 .. SERVERS - 1) {
    if :: pod[_pod].exists && pod[_pod].serving && (pod[_pod].ready || pod[_pod].disturbed) -> _n++ :: else fi
  }
  assert(_n + excused >= FLOOR) /* enough serve */
}

/* Broker: the number, the history and the delivery of a publication are one atomic step. */

proctype Broker() {
  do
  :: top < PUBLICATIONS -> top++
  :: else -> break
  od
}

/* Server: deliveries and drain. */

inline hand_over(c, n) { /* one publication reaches a client */
  assert(n == client[c].has + 1); /* each once and in order */
  client[c].has = n
}

inline deliver(s, n) {
  for (_client : 0 .. CLIENTS - 1) {
    if
    :: is_subscribed(_client, s) && n > client[_client].has -> hand_over(_client, n)
    :: else
    fi
  }
}

inline fill(s) { /* read the history from the position on; where it is too short, end the subscriptions */
  if
  :: top - pod[s].position <= HISTORY ->
    for (_m : pod[s].position + 1 .. top) { deliver(s, _m) }
  :: else ->
    for (_client : 0 .. CLIENTS - 1) {
      if :: is_subscribed(_client, s) -> client[_client].way = Joining :: else fi
    }
  fi;
  pod[s].position = top
}

inline receive(s) { /* the next publication from the broker */
  pod[s].heard++;
  if
  :: pod[s].position == UNKNOWN || pod[s].heard <= pod[s].position
  :: else ->
    if
    :: pod[s].heard == pod[s].position + 1 -> pod[s].position = pod[s].heard; deliver(s, pod[s].heard)
    :: else -> fill(s)
    fi
  fi
}

inline forget_channel(s) {
  pod[s].live = 0; pod[s].heard = 0; pod[s].position = UNKNOWN
}

inline leave(c) { /* the connection ends, whatever the subscription has come to; the last one releases the channel */
  client[c].way = Away; client[c].offset = 0; client[c].since = 0; client[c].recovered = 0;
  if
  :: connections_of(client[c].server) == 0 -> _at = client[c].server; forget_channel(_at)
  :: else
  fi
}

proctype Server(byte s) {
  do
  :: d_step { pod[s].live && pod[s].heard < top -> receive(s) }
  /* Move one connection: disconnect 3011 after all that waited for it was written. */
  :: d_step { pod[s].draining && is_at(0, s) -> leave(0) }
#if CLIENTS > 1
  :: d_step { pod[s].draining && is_at(1, s) -> leave(1) }
#endif
  od
}

/* Client: an SDK that reconnects at once and recovers; the steps of its subscription are the server's. */

inline listen(c) {
  if
  :: !pod[client[c].server].live ->
    pod[client[c].server].live = 1; pod[client[c].server].heard = top
  :: else
  fi;
  client[c].since = pod[client[c].server].heard
}

inline read_history(c) {
  client[c].offset = top;
  client[c].recovered = (top - client[c].has <= HISTORY)
}

inline complete(c, s) { /* reply, what was buffered, then the place in the channel */
  if
  :: client[c].recovered -> for (_m : client[c].has + 1 .. client[c].offset) { hand_over(c, _m) }
  :: else -> client[c].has = client[c].offset /* told that it has lost something */
  fi;
  _missed = 0;
  for (_m : client[c].since + 1 .. pod[s].heard) {
    if
    :: _m == client[c].has + 1 -> hand_over(c, _m)
    :: _m > client[c].has + 1 -> _missed = 1
    :: else
    fi
  }
  client[c].way = Subscribed; client[c].offset = 0; client[c].since = 0; client[c].recovered = 0;
  if
  :: pod[s].position == UNKNOWN -> pod[s].position = client[c].has
  :: pod[s].position != UNKNOWN && client[c].has < pod[s].position -> pod[s].position = client[c].has; _missed = 1
  :: else
  fi;
  if :: _missed -> fill(s) :: else fi
}

#define reaches(c, s) (client[c].way == Away && pod[s].routed && (pod[s].up || !pod[s].exists))

inline connect(c, s) {
  assert((pod[s].exists || excused) && !pod[s].draining); /* nobody is sent to a server that drains or is gone */
  if :: pod[s].up -> client[c].server = s; client[c].way = Joining :: else fi
}

proctype Client(byte c) {
  do
  :: d_step { reaches(c, 0) -> connect(c, 0) }
  :: d_step { reaches(c, 1) -> connect(c, 1) }
  :: d_step { reaches(c, 2) -> connect(c, 2) }
#ifdef HISTORY_BEFORE_SUBSCRIPTION
  :: d_step { client[c].way == Joining -> read_history(c); client[c].way = Listening }
  :: d_step { client[c].way == Listening -> listen(c); client[c].way = Positioned }
#else
  :: d_step { client[c].way == Joining -> listen(c); client[c].way = Listening }
  :: d_step { client[c].way == Listening -> read_history(c); client[c].way = Positioned }
#endif
  :: d_step { client[c].way == Positioned -> _at = client[c].server; complete(c, _at) }
  od
}

/* Kubernetes: kubelet and proxies of one pod, and the controller of ReplicaSets. */

#define passes_probe(s) (pod[s].up && pod[s].healthy && !pod[s].draining)

/* The controller acts sooner than a container restarts. */
#define is_removing (pods_of(OLD) > replicas[OLD] || scale[OLD] != KEEP)

proctype Node(byte s) {
  do
  /* A container restarts, and the kubelet tells what the probes say. */
  :: d_step { pod[s].exists && !pod[s].up && !is_removing ->
      pod[s].up = 1; pod[s].healthy = 1;
      if :: pod[s].ready -> pod[s].disturbed = 0 :: else fi
    }
  :: d_step { pod[s].exists && passes_probe(s) && !pod[s].ready ->
      pod[s].ready = 1; pod[s].disturbed = 0
    }
  :: d_step { pod[s].ready && (!pod[s].up || (!passes_probe(s) && !pod[s].certain)) ->
      pod[s].ready = 0
    }
  :: d_step { pod[s].up && !pod[s].healthy ->
      pod[s].healthy = 1;
      if :: pod[s].ready -> pod[s].disturbed = 0 :: else fi
    }
  /* Proxies learn of it later. */
  :: pod[s].routed != (pod[s].exists && pod[s].serving && pod[s].ready) ->
    pod[s].routed = (pod[s].exists && pod[s].serving && pod[s].ready)
  od
}

#define rank_of(s) (2 * pod[s].ready + !pod[s].marked) /* the lowest goes first */
#define is_old(s) is_of(s, OLD)
#define is_free(s) (!pod[s].exists && !pod[s].routed)

inline lowest_rank() {
  _rank = 4;
  for (_pod : 0 .. SERVERS - 1) {
    if :: is_old(_pod) && rank_of(_pod) < _rank -> _rank = rank_of(_pod) :: else fi
  }
}

inline remove(s) {
  assert(connections_of(s) == 0); /* nobody is cut off */
  excused = excused || pod[s].disturbed;
  pod[s].exists = 0; pod[s].revision = 0; pod[s].serving = 0; pod[s].ready = 0; pod[s].marked = 0;
  pod[s].up = 0; pod[s].healthy = 0; pod[s].disturbed = 0; pod[s].draining = 0; pod[s].rate = 0;
  plan[s] = 0;
  forget_channel(s);
  assert_enough_serve();
  if :: pods_of(OLD) <= replicas[OLD] -> forget_certainty() :: else fi
}

inline forget_certainty() {
  for (_pod : 0 .. SERVERS - 1) { pod[_pod].certain = 0 }
}

inline create(s) {
  pod[s].exists = 1; pod[s].revision = NEW; pod[s].serving = 1; pod[s].up = 1; pod[s].healthy = 1
}

proctype ReplicaSets() {
  do
  :: atomic {
      d_step { pods_of(OLD) > replicas[OLD] -> lowest_rank(); skip };
      if
      :: d_step { is_old(0) && rank_of(0) == _rank -> remove(0) }
      :: d_step { is_old(1) && rank_of(1) == _rank -> remove(1) }
      fi
    }
  :: d_step {
      pods_of(NEW) < replicas[NEW] && (is_free(0) || is_free(1) || is_free(2)) ->
      if :: is_free(0) -> create(0) :: else -> if :: is_free(1) -> create(1) :: else -> create(2) fi fi
    }
  od
}

/* Operator: observe and decide in one step, then one action after another; it may end between any two. */

#define is_drained(s) (pod[s].draining && connections_of(s) == 0)
#ifdef DRAIN_BEFORE_SETTLED
#define is_settled(s) (is_old(s) && !pod[s].serving && pod[s].up)
#else
#define is_settled(s) (is_old(s) && !pod[s].serving && pod[s].up && !pod[s].routed)
#endif
#define is_holding(s) (is_settled(s) && connections_of(s) > 0)

inline decide_quiesce() {
  for (_pod : 0 .. SERVERS - 1) {
    if
    :: is_old(_pod) && pod[_pod].serving && pod[_pod].ready && _available > FLOOR && !_away ->
      plan[_pod] = Quiesce; _available--; _may_serve--
    :: is_old(_pod) && pod[_pod].serving && !pod[_pod].ready && !pod[_pod].up && _may_serve > FLOOR ->
      plan[_pod] = Quiesce; _may_serve--
    :: else
    fi
  }
}

inline decide_drain() {
  _holding = 0; _lower = 0;
  for (_pod : 0 .. SERVERS - 1) {
    if :: is_holding(_pod) -> _holding++ :: else fi
  }
  _share = (_holding > 0 -> BUDGET / _holding : MINIMUM_RATE);
#ifndef START_BEFORE_LOWERED
  for (_pod : 0 .. SERVERS - 1) {
    if :: is_holding(_pod) && pod[_pod].rate > _share -> _lower = 1 :: else fi
  }
#endif
  for (_pod : 0 .. SERVERS - 1) {
    if
    :: is_holding(_pod) && _available > 0 && pod[_pod].rate != _share && (!_lower || pod[_pod].rate > _share) ->
      plan[_pod] = Drain; share = _share
    :: is_settled(_pod) && connections_of(_pod) == 0 && !pod[_pod].draining -> plan[_pod] = Drain; share = _share
    :: else
    fi
  }
}

inline decide_mark() {
  for (_pod : 0 .. SERVERS - 1) {
    if
    :: is_old(_pod) && !pod[_pod].serving && is_drained(_pod) && !pod[_pod].marked && !_away ->
      plan[_pod] = SetDeletionCost
    :: else
    fi
  }
}

inline is_deleted_first(s) {
  _sure = 1;
#ifndef SCALE_BEFORE_SURE
  for (_m : 0 .. SERVERS - 1) {
    if
    :: is_old(_m) && _m != s && pod[s].ready && !(pod[_m].ready && passes_probe(_m)) -> _sure = 0
    :: else
    fi
  }
#endif
}

inline decide_scale() {
  _gone = 0;
  for (_pod : 0 .. SERVERS - 1) {
    if
    :: is_old(_pod) && !pod[_pod].serving && is_drained(_pod) && pod[_pod].marked ->
      is_deleted_first(_pod); _gone = _gone + _sure
    :: else
    fi
  }
  _n = replicas[OLD];
  if :: _old > _n && _gone > _old - _n -> _n = _n - (_gone - (_old - _n)) :: _old <= _n -> _n = _n - _gone :: else fi;
  if :: _new >= DESIRED && _old < _n -> _n = _old :: else fi;
  if :: _n < replicas[OLD] -> scale[OLD] = _n; note_certainty() :: else fi
}

inline note_certainty() {
  for (_pod : 0 .. SERVERS - 1) {
    pod[_pod].certain = is_old(_pod) && pod[_pod].ready && passes_probe(_pod)
  }
}

inline decide() {
  _old = pods_of(OLD);
  _available = 0; _may_serve = 0; _new = 0; _away = anybody_away;
#ifdef MARK_BEFORE_ARRIVAL
  _away = 0;
#endif
  for (_pod : 0 .. SERVERS - 1) {
    if
    :: pod[_pod].exists && pod[_pod].serving && pod[_pod].ready ->
      _available++; _may_serve++; _new = _new + (pod[_pod].revision == NEW)
#ifdef QUIESCE_BEFORE_SPARED
    :: is_old(_pod) && pod[_pod].serving && !pod[_pod].ready -> _may_serve = SERVERS
#else
    :: is_old(_pod) && pod[_pod].serving && !pod[_pod].ready -> _may_serve++
#endif
    :: else
    fi
  }
  _n = (_old < replicas[OLD] -> _old : replicas[OLD]);
  _n = (MAX_SURGE < _n -> DESIRED + MAX_SURGE - _n : DESIRED);
  if :: _n > replicas[NEW] -> scale[NEW] = _n :: else fi;
  if
  :: hold ->
    for (_pod : 0 .. SERVERS - 1) {
      if :: is_old(_pod) && !pod[_pod].serving && pod[_pod].up && !pod[_pod].marked -> plan[_pod] = Resume :: else fi
    }
  :: else -> decide_quiesce(); decide_drain(); decide_mark()
  fi;
  decide_scale()
}

#define nothing_planned \
  (plan[0] == 0 && plan[1] == 0 && plan[2] == 0 && scale[OLD] == KEEP && scale[NEW] == KEEP)

inline forget_plan() {
  plan[0] = 0; plan[1] = 0; plan[2] = 0; scale[OLD] = KEEP; scale[NEW] = KEEP; share = 0; planned = 0
}

#define rate_of(s) (pod[s].draining && connections_of(s) > 0 -> pod[s].rate : 0)

inline carry_out(s) {
  if
  :: plan[s] == Quiesce -> pod[s].serving = 0; assert_enough_serve()
  :: plan[s] == Resume && pod[s].up -> pod[s].draining = 0; pod[s].rate = 0; pod[s].serving = 1
  :: plan[s] == Drain && pod[s].up ->
    pod[s].draining = 1; pod[s].rate = share;
    assert(rate_of(0) + rate_of(1) + rate_of(2) <= BUDGET) /* the budget holds */
  :: plan[s] == SetDeletionCost ->
    assert(!awaited_from(s)); /* who was moved from here has arrived */
    pod[s].marked = 1
  :: else /* the process does not answer */
  fi;
  plan[s] = 0
}

inline ScaleRevision(r) {
  replicas[r] = scale[r]; scale[r] = KEEP
}

inline carry_out_next() { /* in the order of a plan */
  if
  :: scale[NEW] != KEEP -> ScaleRevision(NEW)
  :: else ->
    if
    :: scale[OLD] != KEEP -> ScaleRevision(OLD)
    :: scale[OLD] == KEEP && plan[0] != 0 -> carry_out(0)
    :: scale[OLD] == KEEP && plan[0] == 0 && plan[1] != 0 -> carry_out(1)
    :: scale[OLD] == KEEP && plan[0] == 0 && plan[1] == 0 && plan[2] != 0 -> carry_out(2)
    :: else
    fi
  fi;
  if :: nothing_planned -> share = 0 :: else fi
}

proctype Operator() {
  do
  :: d_step { !planned -> decide(); planned = !nothing_planned }
  :: d_step { planned -> carry_out_next(); planned = !nothing_planned }
  :: d_step { planned && crashes > 0 ->
      crashes--;
      if :: scale[OLD] != KEEP -> forget_certainty() :: else fi;
      forget_plan()
    }
  od
}

/* Faults, at any moment. */

inline crash(s) {
  for (_client : 0 .. CLIENTS - 1) {
    if :: is_at(_client, s) -> leave(_client) :: else fi
  }
  pod[s].up = 0; pod[s].healthy = 0; pod[s].disturbed = 1; pod[s].draining = 0; pod[s].rate = 0;
  forget_channel(s)
}

#define may_fail(s) (pod[s].exists && pod[s].up && pod[s].healthy)

proctype Faults() {
  do
  :: d_step { faults > 0 && may_fail(0) -> faults--; crash(0) }
  :: d_step { faults > 0 && may_fail(1) -> faults--; crash(1) }
  :: d_step { faults > 0 && may_fail(2) -> faults--; crash(2) }
  :: d_step { faults > 0 && may_fail(0) -> faults--; pod[0].healthy = 0; pod[0].disturbed = 1 }
  :: d_step { faults > 0 && may_fail(1) -> faults--; pod[1].healthy = 0; pod[1].disturbed = 1 }
  :: d_step { faults > 0 && may_fail(2) -> faults--; pod[2].healthy = 0; pod[2].disturbed = 1 }
  :: d_step { faults > 0 && client[0].way != Away -> faults--; leave(0) }
  :: d_step { faults > 0 && !hold -> faults--; hold = 1 }
  :: hold -> hold = 0
  od
}

init {
  d_step {
    scale[OLD] = KEEP; scale[NEW] = KEEP; replicas[OLD] = 2;
    for (_pod : 0 .. 1) {
      pod[_pod].exists = 1; pod[_pod].serving = 1; pod[_pod].ready = 1; pod[_pod].routed = 1;
      pod[_pod].up = 1; pod[_pod].healthy = 1
    }
    pod[2].position = UNKNOWN;
    for (_client : 0 .. CLIENTS - 1) {
      client[_client].way = Subscribed; client[_client].server = _client; pod[_client].live = 1
    }
#if CLIENTS < 2
    pod[1].position = UNKNOWN;
#endif
  }
  atomic {
    run Broker(); run Server(0); run Server(1); run Server(2); run Node(0); run Node(1); run Node(2);
    run Client(0);
#if CLIENTS > 1
    run Client(1);
#endif
    run ReplicaSets(); run Operator(); run Faults()
  }
}

#define runs_new(s) (pod[s].exists && pod[s].revision == NEW && pod[s].ready && pod[s].routed)
#define gone_or_new(s) (!pod[s].exists || runs_new(s))
#define has_all(c) (client[c].way == Subscribed && client[c].has == PUBLICATIONS)
#define moved \
  (gone_or_new(0) && gone_or_new(1) && gone_or_new(2) && runs_new(0) + runs_new(1) + runs_new(2) == DESIRED)
#if CLIENTS > 1
#define all_have_all (has_all(0) && has_all(1))
#else
#define all_have_all has_all(0)
#endif

ltl ends { <> [] (moved && all_have_all) }
