/**
 * Every bound of the product, with its unit and the reason for it. Relations between bounds are asserted when
 * this file is loaded. Nothing here is read from the environment: wirings pass scaled copies to tests.
 */

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const kibibyte = 1_024;
const mebibyte = 1_024 * kibibyte;

export const limits = {
  /** Largest accepted HTTP request body at the proxy and the relay: a 256 KiB payload plus JSON escaping and envelope. */
  requestBodyBytesMax: 4 * mebibyte,
  /** Longest path that is looked up: ours are shorter than a tenth of it. */
  pathBytesMax: 2_000,
  /** Deepest accepted JSON nesting: deeper documents serve only to exhaust a parser. */
  jsonDepthMax: 32,
  /** Body bytes the proxy reads before authentication only to echo a request id in its 401. */
  unauthorizedPeekBytesMax: 64 * kibibyte,
  /** Failed logins of a peer within the time, after which each is answered late; peers counted apart; answers held at once. */
  failedLoginsMax: 10,
  failedLoginsWindowMs: minute,
  failedLoginDelayMs: second,
  failedLoginPeersMax: 1_000,
  failedLoginsHeldMax: 100,
  /** A client has this long to send its headers and body: longer is a slow-request attack or a dead peer. */
  requestReadMs: 30 * second,
  /** Head of a request and its fields: ours are below 4 KiB and twenty, session ids included. */
  requestHeadBytesMax: 32 * kibibyte,
  requestFieldsMax: 100,
  /** Connections one data-plane server serves: the oldest that has shown no secret makes room, so bursts must fit. */
  serverConnectionsMax: 2_048,
  /** A kept connection is idle for at most this long: closing it at the moment of the next request would fail that request. */
  serverIdleMs: 10 * minute,
  /** After a last answer the server reads on for this long, because a reset could overtake the answer. */
  serverLingerMs: second,
  /** A body that nobody wants is skipped up to this size; beyond it the connection is closed. */
  skippedBodyBytesMax: 64 * kibibyte,
  /** Answer from memory when the relay has not answered list and handshake requests by then: Codex waits ~1 s at start. */
  lastKnownAnswerMs: 500,
  /** A bufferable call waits this long for the relay's own result, then says `queued`. */
  writeWaitMs: 5 * second,
  /** Open the SSE response to the agent after this much upstream silence: Claude Code aborts silent JSON calls at 60 s. */
  earlyStreamMs: 5 * second,
  /** Longest silence on a stream we serve before a keepalive comment: load balancers and NATs cut at 30–60 s. */
  streamKeepaliveMs: 15 * second,
  /** Streams an endpoint serves at once, and sessions it remembers: an agent opens one or two of each. */
  streamsMax: 64,
  sessionsMax: 256,
  /** Bytes queued to one slow stream before it is closed (it resumes by event id): Bun never pushes back by itself. */
  streamBufferBytesMax: 4 * mebibyte,
  /** Events kept per legacy session for `Last-Event-ID`. */
  resumeEventsMax: 256,
  /** Answers kept per endpoint for an agent whose connection broke, and how long after their end. */
  resumeCallsMax: 64,
  resumeCallMs: 30 * second,
  /** The pause an agent is told to make before it comes back to a broken stream. */
  streamRetryMs: second,
  /** A non-bufferable call upstream may take this long in all: both clients give a call up at 300 s. */
  upstreamCallMs: 290 * second,
  /** TCP connect and TLS handshake upstream: a black-holed connect is otherwise pending for minutes. */
  upstreamConnectMs: 5 * second,
  /** Upstream connections kept open per origin, and how long an idle one is kept. */
  upstreamConnectionsMax: 64,
  upstreamIdleMs: 30 * second,
  /** Requests that wait for a free upstream connection, and how long: longer than a connect, so that its failure is told. */
  upstreamWaitersMax: 1_024,
  upstreamWaitMs: 10 * second,
  /** Silence after which the system probes a peer: one that vanished without a word is found within half a minute. */
  upstreamKeepaliveMs: 15 * second,
  /** Bytes of an unread upstream body held before its connection is paused. */
  upstreamBufferBytesMax: 256 * kibibyte,
  /** Upstream response head, and one SSE event that the proxy has to look into. */
  upstreamHeadBytesMax: 64 * kibibyte,
  sseEventBytesMax: 4 * mebibyte,
  /** Last-known answers kept on disk per endpoint: one per kind of answer and authorization. */
  rememberedAnswersMax: 64,
  /** An upstream that has shown nothing for this long is asked, so that a dead connection is found. */
  canaryIdleMs: 20 * second,
  /** Pages of one upstream list: more is a loop of cursors. */
  listPagesMax: 64,
  /** Longest pause before the proxy asks an upstream for its tools again: an agent without tools waits for it. */
  listRetryCapMs: 5 * second,
  /** A call of which certainly nothing was sent is tried again for this long: a restart of the relay takes about as long. */
  callRetryMs: 2 * second,

  /** Message body, and one buffered payload: larger things belong in files. */
  messageBodyBytesMax: 128 * kibibyte,
  recordBytesMax: 256 * kibibyte,
  /** Whole outbox of one agent on one machine: refuse new, never drop old. */
  outboxRecordsMax: 10_000,
  outboxBytesMax: 64 * mebibyte,
  /** A record that was not delivered by then comes back as a notice. */
  recordAgeMaxMs: 7 * day,
  /** Ended records are kept this long: a repeated logical call gets its earlier receipt, a restored relay's losses are named. */
  recordTombstoneMs: 48 * hour,
  /** Ended records kept at most, and how often the old ones are removed. */
  tombstonesMax: 100_000,
  outboxPruneMs: 10 * minute,
  /** The outbox file: all records that may wait, with room for the ended ones. */
  outboxFileBytesMax: 512 * mebibyte,
  /** Room kept for a full disk, where even removing needs space: four times what the log grows by before a checkpoint. */
  outboxReserveBytes: 4 * mebibyte,
  /** No new write is taken below this much free space: the rest is for delivering what waits. */
  outboxFreeBytesMin: 64 * mebibyte,
  /** An agent is told when its oldest write has waited this long, once per step. */
  delayNoticeMs: 15 * minute,
  delayNoticeLaterMs: 4 * hour,
  /** Wall clock and monotonic clock apart by more than this: the wall clock was set, its ages are not believed. */
  clockJumpMs: minute,
  /** What became of a record waits this long to share the commit of the next write; a crash before it replays. */
  saveLingerMs: 20,
  /** The high-water mark is flushed this long after a commit at the latest: a power cut may take so much of it. */
  marksLingerMs: 10,
  /** A call repeated with equal arguments, whose first answer was never seen, is the same call within this time. */
  reissueWindowMs: 120 * second,
  /** One delivery batch. */
  batchRecordsMax: 200,
  batchBytesMax: 256 * kibibyte,
  /** Back-off between delivery attempts (full jitter), and the cheap probe during the first minutes of an outage. */
  deliveryBackoffBaseMs: 500,
  deliveryBackoffCapMs: 30 * second,
  probeIntervalMs: 500,
  /** One probe: an answer later than this is as good as none. */
  probeAttemptMs: 2 * second,
  probeDurationMs: 5 * minute,
  /** One delivery attempt, from connect to the last byte of the answer. */
  deliveryAttemptMs: 15 * second,
  /** One question to the relay about the keys of records that are to be given up. */
  askOutcomesMs: 5 * second,
  /** A store without an owner is drained in slices this short, with gaps for a runner that starts, for this long in all. */
  orphanSliceMs: second,
  orphanGapMs: 500,
  orphanDrainMs: 30 * second,
  /** Stores without an owner that one start looks after. */
  orphanStoresMax: 32,
  /** A store that is locked by nobody who says so is tried so often: another one opens it, or looks into it, just now. */
  outboxClaims: 8,
  outboxClaimPauseMs: 80,
  /** A starting runner waits this long for one that only drains its store. */
  drainerWaitMs: 3 * second,
  /** Tools that must not overtake queued writes wait this long for the outbox to drain, then are refused. */
  drainFirstMs: 2 * second,
  /** Record-level failures answered by a healthy relay before the record is given up, and the time they must span. */
  poisonAttemptsMax: 10,
  poisonSpanMs: 15 * minute,
  /** Notices kept for the agent, and how many are appended to one result. */
  noticesMax: 1_000,
  noticesPerResultMax: 20,

  /** The relay remembers outcomes by key for this long; must exceed the age of any record that can still be sent. */
  outcomeRetentionMs: 14 * day,
  /** Agent runtime token: lifetime, and how long before its end it is renewed. */
  agentTokenMs: hour,
  agentTokenRenewBeforeMs: 10 * minute,
  /** A secret that was swapped for its successor is good for this long, for what is on its way. */
  tokenOverlapMs: 10 * minute,
  /** Runner token: lifetime since its last renewal, and how long after that it is renewed. */
  runnerTokenMs: 30 * day,
  runnerTokenRenewMs: day,
  /** Swapped secrets remembered per token: one that comes back later is not known any more. */
  usedSecretsMax: 64,
  /** Earlier secrets a runner keeps: a relay that was restored from a copy as old may know one of them still. */
  earlierSecretsMax: 30,
  /** A runner that gave no sign of life for this long may be displaced by any that may enrol. */
  leaseMs: 3 * minute,
  /** Items of one inbox page and its default. */
  inboxPageMax: 200,
  inboxPageDefault: 50,
  /** Channels of one relay: more are made by a program that has gone wrong. */
  channelsMax: 1_000,
  /** Messages that one transaction takes into the search, or looks at to forget them: a few milliseconds. */
  searchStepRows: 200,
  pruneMessagesMax: 200,
  /** New messages are taken into the search this often, and while there are many; a search takes in what is missing. */
  searchStepMs: second,
  searchCatchUpMs: 200,
  /** Words of one search, messages of one answer, and the characters of a body that it shows. */
  searchWordsMax: 16,
  searchPageDefault: 20,
  searchBodyCharactersMax: 1_000,
  /** Messages of which a runner still has to say that it has them. */
  handedWaitingMax: 10_000,
  /** They are reported together after this long. */
  handedLingerMs: 200,
  /** Memory of the store for pages, KiB: a group of large batches must not spill pages to disk twice. */
  storeCacheKib: 64 * 1024,
  /** Pages of the store's log before a checkpoint: 4 MB, which a start after a kill reads in milliseconds. */
  storeCheckpointPages: 1_024,
  /** Rows that one transaction of the store forgets: writes wait for it meanwhile. */
  pruneRowsMax: 2_000,
  /** Feed: keepalive, and streams per principal. */
  feedKeepaliveMs: 15 * second,
  feedStreamsPerPrincipalMax: 20,
  /** Keepalives of all feeds share one timer, which goes round in so many steps: one each second. */
  feedWheelSlots: 15,
  /** A feed that was silent for this long (keepalives included) is dead and is opened again. */
  feedSilenceMs: 45 * second,
  /** Presence is written down this often while a runner stays connected, and changes are told in bundles this long. */
  presenceMs: minute,
  presenceHintMs: second,
  /** Ten thousand agents are not written down at once: each has one of so many steps of that time. */
  presenceWheelSlots: 60,
  /** A reported state that was not confirmed for this long is not believed: three heartbeats of a runner. */
  presenceStaleMs: 3 * minute,
  /** The debtor of a reply is reminded after these times; then, without a due time, the reply is overdue. */
  replyReminderMs: 10 * minute,
  replySecondReminderMs: 30 * minute,
  replyOverdueMs: hour,
  /** A creditor is told with its unread messages that a reply is overdue for this long; the list shows it longer. */
  overdueShownMs: day,
  /** That a reply ended because its debtor was removed is told once, and again to a check so soon after: answers get lost. */
  endedShownMs: minute,
  /** Obligations that one transaction takes a step further; writes wait for it meanwhile. */
  obligationStepsMax: 500,
  /** Obligations are looked after again this long after the store failed. */
  obligationRetryMs: minute,
  /** Obligations of one answer, reminders shown with the unread messages, and characters shown of a message. */
  outstandingMax: 100,
  remindersShownMax: 10,
  excerptMax: 200,
  /** Characters of the reason for declining a reply or for a quarantine. */
  reasonMax: 500,
  /** A sender over its rate is asked to come back after this at the earliest, so that it brings several writes at once. */
  rateRetryMs: 5 * second,
  /** A message counts as one write for each so many recipients. */
  recipientsPerWriteMax: 10,
  /** The same body more often than this within the time counts as so many writes each: agents that echo each other. */
  repeatedBodyMax: 20,
  repeatedBodyPrice: 10,
  repeatWindowMs: 10 * minute,
  /** What a sender's rate gave and was not used counts for so long: an outage fills outboxes, and they come at once. */
  brakeCreditMs: hour,
  /** Bodies remembered for each sender. */
  repeatsRemembered: 32,
  /** An insight: its facts as JSON, how deep they nest, and how many insights the relay keeps. */
  insightBytesMax: 8 * kibibyte,
  insightDepthMax: 6,
  insightsMax: 10_000,
  insightsPageMax: 200,
  /** A feed reads its inbox again and says so this often; a client gives it up after two and a half times that. */
  feedCanaryMs: minute,
  feedCanarySilenceMs: 150 * second,
  /** A looked-up token is remembered this long by this process; a revocation here is seen at once all the same. */
  tokenCacheMs: 2 * second,
  tokenCacheMax: 10_000,
  /** Bodies of one inbox page: more would be a wall of text for a model; the page then says `more`. */
  inboxPageBytesMax: 512 * kibibyte,
  /** A stream whose reader takes nothing for this long is closed; it resumes by its cursor. */
  streamStalledMs: 30 * second,
  /** Forgotten keys and ended tokens are removed this often. */
  pruneIntervalMs: hour,
  /** Longest single timer: a timer's delay is a signed 32-bit number of ms, a longer one would fire at once. */
  timerStepMs: day,
  /** One audit entry: texts are cut to this many characters, facts to this many members. */
  auditTextMax: 300,
  auditFactsMax: 16,
  /** Refusals of one kind, principal and subject are written down once in this time; so many different ones at once. */
  auditRefusalMs: minute,
  auditRefusalsMax: 1_000,
  /** Audit entries in one answer. */
  auditPageMax: 1_000,
  /** Different label values of one figure: all come from tables, so more is a fault of ours. */
  metricSeriesMax: 2_000,
  /** The relay's own request body: a full batch of records with its envelope is below half of it. */
  relayRequestBytesMax: mebibyte,
  /** Requests a token may make in the long run and at once: a wild loop is stopped, a runner after an outage is not. */
  requestsPerSecondMax: 50,
  requestsBurstMax: 500,
  /** A request over that rate hears so this late, and so many at once do, of one token and of all: a loop waits then. */
  rateHoldMs: 100,
  rateHeldPerTokenMax: 64,
  rateHeldMax: 1_024,
  /** Whoever asks for a backup waits this long for it, then asks again; so many are remembered. */
  backupWaitMs: 5 * second,
  backupsKnownMax: 16,
  /** An operation or tool of the relay is answered within this time; the slowest waits for a commit. */
  operationMs: 20 * second,
  /** Counts over whole tables that took this long are kept for so many times what they took: anybody may ask. */
  countsFastMs: 5,
  countsKeptTimes: 20,
  /** The store has this long to show that it answers (`/readyz`). */
  readyMs: 2 * second,
  /** Writes of one agent, unless its profile says otherwise: at once, and per minute after that. */
  writesBurst: 600,
  writesPerMinute: 60,
  /** Recipients of one message, and how often a message may be forwarded: a chain of agents cannot run on for ever. */
  fanOutMax: 500,
  hopsMax: 8,
  /** A child is asked to end, waited for, then its process group is killed. */
  childStopMs: 5 * second,
  /** A line of a child's output; longer ones are cut and marked. */
  outputLineBytesMax: 64 * kibibyte,
  /** Output that descendants keep open after the child's end is waited for this long. */
  outputDrainMs: 500,
  /** An agent that crashed is started again after a back-off (full jitter) within these, where its policy says so. */
  agentRestartBaseMs: second,
  agentRestartCapMs: 30 * second,
  /** So many crashes, each sooner than the stable time after its start, are a loop: it is not started again. */
  agentCrashesMax: 5,
  agentStableMs: minute,
  /** An agent may wait this long for one tool call, and for its first answer from the proxy. */
  agentToolCallMs: 300 * second,
  agentMcpStartMs: 20 * second,
  /** A turn in which nothing is heard for this long, while no tool runs, is interrupted: the model cannot be reached. */
  turnSilenceMs: 10 * minute,
  turnWatchMs: 30 * second,
  /** What a hook reports: known fields, each cut; and how long it waits for the runner before it gives up. */
  hookReportBytesMax: mebibyte,
  hookFieldCharactersMax: 32 * kibibyte,
  hookAnswerMs: 3 * second,
  /** The file in which hooks write what failed, before its older half is dropped. */
  hookLogBytesMax: 256 * kibibyte,
  /** A program that is new here has this long to print its version, once. */
  programVersionMs: 2 * second,
  /** A session's last report waits this long for the relay. */
  lastReportMs: second,
  /** Messages of one text for the model, and its bytes unless one alone is longer: more would push the task out of view. */
  injectionMessagesMax: 20,
  injectionBytesMax: 64 * kibibyte,
  /** A text of which nothing was heard is given again this long after the agent became idle. */
  injectionLostMs: 30 * second,
  /** Messages held in memory for an agent that does not take them; the rest stays at the relay until there is room. */
  inboxWaitingMax: 1_000,
  /** Lines of the ledger of injections before it is written anew, and read messages that it keeps. */
  injectionLedgerLinesMax: 5_000,
  injectionLedgerReadMax: 1_000,
  /** A reply that an agent owes is brought up this often at most, with this much time between. */
  remindersMax: 3,
  reminderPauseMs: 5 * minute,
  /** A transcript is looked at this often, in pieces; after a restart its end is searched for what it holds already. */
  transcriptPollMs: second,
  transcriptPieceBytes: mebibyte,
  transcriptSearchBytes: 16 * mebibyte,
  /** A provider answers within this time whether it has taken a text; Claude Code confirms at its next safe point. */
  injectMs: 10 * second,
  /** Claude Code without a person is asked so often whether it reads its input, and given up on after this time. */
  claudeReadyRetryMs: 5 * second,
  claudeReadyMs: minute,
  /** Codex's app-server listens within this time: a cold start on a busy machine took 3 s. */
  codexStartMs: 20 * second,
  /** A lost connection to Codex's app-server is opened again after this pause. */
  codexReconnectMs: second,
  /** A first text waits this long for the program to have our tools; and Claude Code, a moment from their list to their use. */
  agentToolsMs: 10 * second,
  claudeToolsSettleMs: second,
  /** A conversation that a person has begun can be joined a moment after its first turn: asked this often, in such pauses. */
  codexJoinMs: 100,
  codexJoinAttempts: 100,
  /** Texts given to Codex that are remembered, so that none is given twice: more than one session sees in a week. */
  codexGivenMax: 10_000,
  /** Items of a resumed conversation that are looked through for texts it already holds. */
  codexHistoryItems: 400,
  /** A session's scratch folder whose owner was never recorded is swept after this time. */
  scratchUnownedMs: minute,
  /** What is under way goes on for this long when its process is asked to end: deliveries, requests. */
  pumpFlushMs: 3 * second,
  /** First enrolment of an agent waits this long for the relay. */
  enrolWaitMs: 10 * second,
  /** A runner that has a credential waits this long to hear whether the relay is still the same one. */
  knownRelayWaitMs: 300,
  /** Control-plane request of a runner or the CLI. */
  controlRequestMs: 10 * second,
} as const;

export type Limits = { readonly [K in keyof typeof limits]: number };

/** Throws when bounds contradict each other; tests pass scaled copies. */
export function assertLimits(l: Limits): void {
  const rules: [boolean, string][] = [
    [l.recordAgeMaxMs < l.outcomeRetentionMs, "recordAgeMaxMs must be below outcomeRetentionMs"],
    [l.recordBytesMax <= l.batchBytesMax, "one record must fit a batch"],
    [l.messageBodyBytesMax < l.recordBytesMax, "a message body must fit a record"],
    [l.recordBytesMax < l.requestBodyBytesMax, "a record must fit a request"],
    [l.agentTokenRenewBeforeMs < l.agentTokenMs, "renewal must come before the end of a token"],
    [l.recordAgeMaxMs < l.runnerTokenMs, "a record must not outlive the token that delivers it"],
    [l.runnerTokenRenewMs < l.runnerTokenMs, "a runner's renewal must come before the end of its token"],
    [l.presenceMs * 2 < l.leaseMs, "two signs of life must fit a lease"],
    [l.feedKeepaliveMs * 2 < l.feedSilenceMs, "two keepalives must fit the feed silence"],
    [l.feedCanaryMs % l.feedKeepaliveMs === 0, "a canary must fall on a keepalive"],
    [l.feedCanaryMs * 2 < l.feedCanarySilenceMs, "two canaries must fit the silence of a feed"],
    [l.replyReminderMs < l.replySecondReminderMs, "the second reminder must come after the first"],
    [l.replySecondReminderMs < l.replyOverdueMs, "a reply is overdue after the last reminder"],
    [l.presenceMs * 2 < l.presenceStaleMs, "two heartbeats must fit the time a reported state is believed"],
    [l.upstreamConnectMs < l.upstreamWaitMs, "a failed connect must be told before the wait for one ends"],
    [l.writeWaitMs < l.deliveryAttemptMs, "an attempt must outlive the wait of its call"],
    [l.delayNoticeMs < l.delayNoticeLaterMs, "the second delay notice must come after the first"],
    [l.orphanSliceMs + l.orphanGapMs < l.drainerWaitMs, "a starting runner must outwait a slice of draining"],
    [l.pumpFlushMs < l.childStopMs, "the pump's flush must fit the time in which a process is to end"],
    [l.upstreamCallMs < l.agentToolCallMs, "the proxy must give a call up before the agent does"],
    [l.batchBytesMax * 2 < l.relayRequestBytesMax, "a batch must fit a request to the relay"],
    [l.operationMs < l.requestReadMs, "an operation must answer before its silent connection is closed"],
    [l.messageBodyBytesMax <= l.inboxPageBytesMax, "one message must fit an inbox page"],
  ];
  for (const [holds, rule] of rules) if (!holds) throw new Error(`Limits contradict each other: ${rule}`);
}

assertLimits(limits);
