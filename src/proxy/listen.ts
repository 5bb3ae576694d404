/**
 * The endpoint's own streams: `GET` of a legacy session, resumable by event id, and modern `subscriptions/listen`.
 */
import { sseText } from "../base/http/sse.ts";
import { isObject, type JsonObject, notificationText, resultText, rpcCode } from "../wire/jsonrpc.ts";
import { errorAnswer, type Outcome } from "./answer.ts";
import type { Ask, Asker } from "./ask.ts";
import type { Core } from "./core.ts";
import { metaKey } from "./era.ts";
import { type Listener, listChanged, modernUid, type Session } from "./sessions.ts";
import { type DownStream, messageEvent, openStream } from "./streams.ts";
import { bridgeSession } from "./watch.ts";

/** Opens the GET stream of a session; replays what followed `lastEventId`. */
export function openGet(core: Core, session: Session, asker: Asker): void {
  const lastEventId = asker.header("last-event-id");
  if (lastEventId !== undefined && core.callStreams.resume(session.uid, lastEventId, asker)) return;
  makeRoom(core);
  const stream = openStream(core.options, asker);
  // Added first: a client that is already gone ends the stream while it is told of its end.
  session.streams.add(stream);
  stream.onEnd(() => session.streams.delete(stream));
  const missed = lastEventId === undefined ? undefined : session.ring.after(lastEventId);
  // An event without data gives the client a position to resume from before anything has happened.
  if (missed === undefined) stream.write(sseText({ id: session.ring.position, data: "" }));
  for (const { id, data } of missed ?? []) stream.write(messageEvent(data, id));
  bridgeSession(core, session, stream);
  const { fingerprint } = core.shown();
  if (session.shown !== undefined && session.shown !== fingerprint) {
    session.shown = fingerprint;
    core.sessions.tell(session, notificationText(listChanged.tools));
  }
}

/** Opens a modern subscription: acknowledged first, every message stamped with its id. */
export function openListen(core: Core, ask: Ask): Outcome {
  const asked = ask.message.params.notifications;
  if (!isObject(asked) || !ask.wantsStream) {
    const message = "subscriptions/listen needs a notifications filter and Accept: text/event-stream";
    return errorAnswer(ask, { code: rpcCode.invalidParams, message });
  }
  const honoured = Object.fromEntries(
    ["toolsListChanged", "promptsListChanged", "resourcesListChanged"]
      .filter((name) => asked[name] === true)
      .map((name) => [name, true]),
  );
  makeRoom(core);
  const meta: JsonObject = { [metaKey.subscriptionId]: JSON.parse(ask.message.id) };
  const text = (method: string, params: JsonObject) => notificationText(method, { ...params, _meta: meta });
  const stream = openStream(core.options, ask.asker);
  const session = core.sessionOf(modernUid);
  const listener: Listener = {
    stream,
    text,
    // A client that subscribes before it lists is told of what changes from now on; that the tools become known is none.
    shown: session.shown ?? (core.lists.knowsTools() ? core.shown().fingerprint : undefined),
    wants: new Set(
      Object.keys(honoured).map(
        (name) => listChanged[name.replace("ListChanged", "") as keyof typeof listChanged],
      ),
    ),
    endText: resultText(ask.message.id, { resultType: "complete", _meta: meta }),
  };
  stream.write(messageEvent(text("notifications/subscriptions/acknowledged", { notifications: honoured })));
  core.sessions.listeners.add(listener);
  stream.onEnd(() => core.sessions.listeners.delete(listener));
  if (listener.shown !== undefined) core.sessions.shownChanged(core.shown().fingerprint);
  return "streaming";
}

function openStreams(core: Core): Pick<DownStream, "close" | "openedAt">[] {
  const gets = [...core.sessions.all()].flatMap(({ streams }) => [...streams]);
  return [...gets, ...[...core.sessions.listeners].map(({ stream }) => stream)];
}

export function streamCount(core: Core): number {
  return openStreams(core).length;
}

/**
 * At the limit the youngest stream goes. The oldest is the agent's own, which it may never open again (the SDK's client
 * does not subscribe twice); whoever opens streams without end loses them.
 */
function makeRoom(core: Core): void {
  const open = openStreams(core);
  if (open.length >= core.options.limits.streamsMax)
    open
      .sort((a, b) => a.openedAt - b.openedAt)
      .at(-1)
      ?.close();
}

/** Ends every stream with what its era wants. */
export function closeStreams(core: Core): void {
  for (const { stream, endText } of [...core.sessions.listeners]) {
    stream.write(messageEvent(endText));
    stream.close();
  }
  for (const session of core.sessions.all()) for (const stream of [...session.streams]) stream.close();
}
