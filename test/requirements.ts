/**
 * Every promise of the product as rows that can be checked. A test cites a row by writing its id in brackets in its
 * title: `test("[P2.3] …")`. Rows marked `planned` are not kept yet: nothing that exists may be read as keeping them.
 */

/** The promises, in the words of the README. */
export const promises = {
  P1: "Never drops: from the agent's side the MCP server never disconnects, never loses its tools and never fails because of the relay",
  P2: "Never loses, never doubles: a write the agent was told is queued takes effect exactly once and in order, or comes back as a notice",
  P3: "Narrow, never widen: what an agent sees or calls is a subset of what the relay last granted, also in an outage",
  P4: "The agent is never given the relay token",
  P5: "Says what happened: every outcome has its own words and is never reported as another",
  P6: "Exactly one winner: of many concurrent claims of a workspace one succeeds",
  P7: "Never loses work: no command removes uncommitted or unmerged work",
  P8: "Wakes: a message for an idle agent starts a turn, for a busy one it is injected at the next safe point",
  C: "The command line keeps its contracts with people and programs",
} as const;

export type PromiseId = keyof typeof promises;

/** One checkable part of a promise. */
export type Requirement = {
  readonly id: `${PromiseId}.${number}`;
  readonly text: string;
} & ({ readonly status: "kept" } | { readonly status: "planned"; readonly note: string });

const kept = (id: Requirement["id"], text: string): Requirement => ({ id, status: "kept", text });
const planned = (id: Requirement["id"], text: string, note: string): Requirement => ({
  id,
  status: "planned",
  text,
  note,
});

const workspaces = "Workspaces are not built yet";

export const requirements: readonly Requirement[] = [
  kept(
    "P1.1",
    "With the relay down at start the agent completes its handshake and lists tools within a second",
  ),
  kept("P1.2", "A relay that hangs is answered for from memory within 500 ms for handshake and lists"),
  kept("P1.3", "A relay restart is invisible: the same endpoint, session and tools go on working"),
  kept("P1.4", "401, 404, 502, 503 and 504 of the relay never reach the agent as transport errors"),
  kept("P1.5", "A session the relay has forgotten is opened again without the agent noticing"),
  kept("P1.6", "A rotated token changes nothing that the agent can observe"),
  kept("P1.7", "Both MCP eras are served on one endpoint: server/discover and initialize"),
  kept(
    "P1.8",
    "A stream that has started ends with a JSON-RPC response also when the relay dies in the middle",
  ),
  kept("P1.9", "The agent's own stream stays open through an outage and resumes by Last-Event-ID"),
  kept("P1.10", "A killed and restarted runner serves the same address with the same secret"),
  kept("P1.11", "Any Streamable-HTTP MCP server can be put behind the same endpoint"),

  kept("P2.1", "A record is committed with fsync before the agent is told queued"),
  kept("P2.2", "A record is committed before the first byte of it leaves, also when the relay is up"),
  kept("P2.3", "After SIGKILL of the runner at any moment every accepted record is delivered or comes back"),
  kept("P2.4", "After SIGKILL of the relay at any moment every accepted record takes effect once"),
  kept("P2.5", "An answer lost after the relay committed does not double the write"),
  kept("P2.6", "Writes of one agent take effect in the order it made them; a live write never overtakes"),
  kept(
    "P2.7",
    "The same key with the same arguments gives the stored outcome, with other arguments it is refused",
  ),
  kept("P2.8", "Key, message and inbox rows are one transaction at the relay"),
  kept("P2.9", "Only the newest owner of an outbox may deliver; older ones are fenced"),
  kept(
    "P2.10",
    "A record that is permanently refused comes back as a notice and does not stop the ones after it",
  ),
  kept("P2.11", "A record older than 7 days comes back as a notice and is never sent late in silence"),
  kept("P2.12", "A full, damaged or closed outbox refuses new writes and keeps the good ones"),
  kept("P2.13", "A call re-issued because its answer was never seen gets the earlier receipt"),
  kept("P2.14", "An outbox has one owner: a second one is told so and changes nothing"),
  kept("P2.15", "A message id told to the agent is final, whatever happens on the way"),
  kept(
    "P2.16",
    "An accepted write that a damaged file has lost is told to the agent, and the good ones go on",
  ),
  kept(
    "P2.17",
    "A record that may have taken effect is given up only after the relay was asked about its key, where it can be",
  ),
  kept("P2.18", "Writes whose runner has ended are delivered by whoever starts next on the machine"),
  kept("P2.19", "Only old messages are forgotten, and never one that is unread or that a reply is owed for"),
  kept("P2.20", "A message to many is one message, in each inbox once and in order"),
  kept(
    "P2.21",
    "A write over its sender's rate waits in order and is not lost; what was taken is remembered",
  ),
  kept(
    "P2.22",
    "Writes of a quarantined agent are refused for good; its reading and other agents are not touched",
  ),
  kept(
    "P2.23",
    "A credential that is rotated in an outage delivers what waits; scopes that are reduced bring it back as notices",
  ),

  kept("P3.1", "tools/list shows only tools whose scope the token has"),
  kept("P3.2", "A hidden tool that is called by name is refused with the reason"),
  kept("P3.3", "In an outage the list is a subset of the last one the relay gave for the same authorization"),
  kept("P3.4", "Before any contact the list is a subset of the built-in one cut to the recorded scopes"),
  kept("P3.5", "A remembered list is never used for other scopes, another profile or another relay"),
  kept("P3.6", "For all lists, contexts and outages: shown is a subset of granted"),
  kept("P3.7", "The relay decides every call again by the token, whatever the proxy showed"),
  kept("P3.8", "No principal can hand on more than it holds"),
  kept(
    "P3.9",
    "A change of a profile holds at once at the relay, and narrows what the agent is shown in its open stream within 5 seconds",
  ),
  kept("P3.10", "A look back or a search shows an agent only what it has sent or got"),
  kept("P3.11", "Every tool and operation is denied without its scope, to every kind of principal"),
  kept(
    "P3.12",
    "A client is told that its tools have changed exactly when what it was shown has, also while it had no stream open",
  ),

  kept("P4.1", "The relay token is in no child's environment or argv"),
  kept("P4.2", "The relay token is in no log and no file but its own 0600 file"),
  kept("P4.3", "What the agent sends as Authorization, Cookie, Origin or Host never leaves the machine"),
  kept("P4.4", "Secrets are stored hashed at the relay and shown once"),
  kept("P4.5", "The endpoint refuses a missing and a wrong secret alike, and foreign hosts and origins"),
  kept("P4.6", "Files that hold secrets or records are 0600 in folders of 0700"),
  kept("P4.7", "A revoked token stops working at once, open streams included"),
  kept(
    "P4.8",
    "A used secret that comes back with another successor revokes its token and all that it minted",
  ),
  kept(
    "P4.9",
    "One runner at a time runs an agent: a displaced one may deliver what it still has, marked late, and nothing else",
  ),

  kept("P5.1", "Each of sent, queued, refused, rejected and unknown has its fixed wording"),
  kept("P5.2", "A queued answer validates against the tool's outputSchema in an SDK client"),
  kept("P5.3", "A call that may have run and cannot be buffered is reported as unknown, never as not run"),
  kept("P5.4", "A call of which no byte left is reported as not run"),
  kept("P5.5", "A notice stays until an answer that carried it has been seen"),
  kept("P5.6", "Text of other agents is quoted in an envelope that it cannot close"),
  kept(
    "P5.7",
    "What became of an earlier write is answered by its key: queued or given up here, committed, rejected or unknown",
  ),
  kept("P5.8", "An agent whose writes wait for long is told so, before they come back"),
  kept(
    "P5.9",
    "When the relay's database was restored, the agent is told which of its writes may be missing",
  ),
  kept("P5.10", "What people do to an outbox is written down before it is done, or not done"),
  kept("P5.11", "A sender sees how far its message has got at each recipient, step by step and never back"),
  kept("P5.12", "A message that is shown or handed over again says so"),
  kept(
    "P5.14",
    "A reply that is owed is reminded of at its times, then its sender hears that it is overdue, over restarts",
  ),
  kept(
    "P5.16",
    "An end that the relay does not remember is told, and followed by other writes, only once it is on disk",
  ),
  kept(
    "P5.17",
    "What was refused because the disk failed is not sent by a later process after an orderly close",
  ),
  kept("P5.15", "A declined reply reaches its sender as what it is and is no longer owed"),
  kept("P5.13", "No text of an agent can pass for an envelope, a note of the system or a notice"),

  planned(
    "P6.1",
    "Of N concurrent claims one succeeds, the others get 409 with the holder's name",
    workspaces,
  ),
  planned("P6.2", "A holder that lost its claim cannot write with it afterwards", workspaces),
  planned("P7.1", "Release and shutdown refuse while work is uncommitted or unmerged", workspaces),
  planned("P7.2", "Landing is compare-and-swap on the target branch, never a force", workspaces),
  kept("P8.1", "A message for an idle agent starts a turn"),
  kept(
    "P8.2",
    "An urgent message for a busy agent is injected at the next safe point, any other when the turn ends",
  ),
  kept("P8.3", "The sender can see which of these has happened, and only once it has"),
  kept("P8.4", "A message under way when the agent or its runner is killed is given again, or it was read"),

  kept("C.1", "up prints its ready line first: event, url, mcpUrl, operatorTokenFile"),
  kept("C.2", "proxy prints its ready line first: event, url, secretFile"),
  kept(
    "C.3",
    "SIGTERM ends up and proxy with 0 within 5 seconds, and run with its agent's code within 5 seconds of the agent's end",
  ),
  kept(
    "C.4",
    "Bad input is one clear line on standard error and a non-zero exit code, and nothing is written",
  ),
  kept("C.5", "A taken port, an unreadable home and a second owner are each named as what they are"),
  kept("C.6", "A relay URL that is not a relay, and a wrong token, are each named as what they are"),
  kept("C.7", "run ends with the exit code of its agent and leaves no process of it behind"),
  kept("C.8", "inbox and outbox ls print one JSON object with --json"),
  kept(
    "C.9",
    "The program is started from any directory, through a symlink and after npm ci --ignore-scripts",
  ),
  kept("C.10", "People see and act on the outboxes of a machine, whether their owner runs or not"),
  kept(
    "C.20",
    "Who did what at the relay is in an append-only log without secrets and bodies, and a change of it shows",
  ),
  kept("C.21", "A backup is made while the relay runs; a restored one begins a new generation"),
  kept(
    "C.22",
    "Beyond its machine the relay listens with TLS 1.2 or newer, or because it was told to without",
  ),
  kept(
    "C.23",
    "The HTTP API describes itself, and each of its errors is a problem with a code and an instance",
  ),
  kept("C.24", "One trace id leads from the agent's call to the outbox, the relay's log and the message"),
  kept("C.25", "A request that is too large, deep, long, slow or frequent is refused before it costs much"),
  kept("C.30", "The typed client uses every operation that the relay describes"),
  kept("C.31", "Whatever is sent to an operation or a tool is answered in the product's own words"),
  kept("C.32", "Killed under load with a million messages the relay is up again within a second"),
  kept("C.33", "An agent that has gone wild gets its limit through, and the others hardly notice"),
  kept(
    "C.40",
    "People make and give profiles, remove agents, and make tokens that enrol within what they grant",
  ),
];
