/**
 * Lines of Claude Code's transcript (2.1.330; the format is internal and may change): only what is needed, and nothing
 * is believed of a line that looks otherwise. Pure.
 */
import { join } from "node:path";

export type TranscriptEntry =
  /** A text from outside: a person's, or one that was injected. */
  | { kind: "input"; uuid: string | undefined; text: string }
  /** The person stopped the turn. */
  | { kind: "interrupted" }
  | { kind: "text"; text: string; ends: boolean }
  | { kind: "tool-use"; id: string; name: string; input: Readonly<Record<string, unknown>> }
  | { kind: "tool-result"; id: string; failed: boolean }
  | { kind: "error"; text: string };

const interruptedMark = "[Request interrupted by user";

/** Where Claude Code keeps the transcript of a conversation. */
export function transcriptPath(
  env: Readonly<Record<string, string>>,
  cwd: string,
  conversation: string,
): string | undefined {
  const config = env.CLAUDE_CONFIG_DIR ?? (env.HOME === undefined ? undefined : join(env.HOME, ".claude"));
  if (config === undefined) return undefined;
  const folder = env.CLAUDE_CODE_PROJECT_DIR_NAME ?? cwd.replace(/[^A-Za-z0-9]/g, "-");
  return join(config, "projects", folder, `${conversation}.jsonl`);
}

/** What one line says; several blocks of one message give several entries. */
export function transcriptEntries(line: string): TranscriptEntry[] {
  const record = parseRecord(line);
  if (record === undefined || record.isSidechain === true) return [];
  switch (record.type) {
    case "user":
      return userEntries(record);
    case "attachment":
      return attachmentEntries(record);
    case "assistant":
      return assistantEntries(record);
    default:
      return [];
  }
}

/** An object with string names; undefined for anything else. */
export function asRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

/** A text, or undefined. */
export function asText(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** A line of JSON as a record; undefined for anything else. */
export function parseRecord(line: string): Readonly<Record<string, unknown>> | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return asRecord(JSON.parse(line));
  } catch {
    return undefined;
  }
}

/** The blocks of a message's content; a plain text is one block. */
export function blocksOf(message: unknown): Readonly<Record<string, unknown>>[] {
  const content = asRecord(message)?.content;
  if (typeof content === "string") return [{ type: "text", text: content }];
  const blocks: readonly unknown[] = Array.isArray(content) ? content : [];
  return blocks.map(asRecord).filter((block) => block !== undefined);
}

function userEntries(record: Readonly<Record<string, unknown>>): TranscriptEntry[] {
  return blocksOf(record.message).flatMap((block): TranscriptEntry[] => {
    if (block.type === "tool_result")
      return [{ kind: "tool-result", id: asText(block.tool_use_id) ?? "", failed: block.is_error === true }];
    if (block.type !== "text") return [];
    const text = asText(block.text) ?? "";
    if (text.startsWith(interruptedMark)) return [{ kind: "interrupted" }];
    return [{ kind: "input", uuid: asText(record.uuid), text }];
  });
}

/** A text that was folded into a running turn. */
function attachmentEntries(record: Readonly<Record<string, unknown>>): TranscriptEntry[] {
  const attachment = asRecord(record.attachment);
  if (attachment?.type !== "queued_command") return [];
  const prompt = attachment.prompt;
  const text =
    asText(prompt) ??
    blocksOf({ content: prompt })
      .map((block) => asText(block.text) ?? "")
      .join("\n");
  return [{ kind: "input", uuid: asText(attachment.source_uuid), text }];
}

function assistantEntries(record: Readonly<Record<string, unknown>>): TranscriptEntry[] {
  const ends = asRecord(record.message)?.stop_reason === "end_turn";
  return blocksOf(record.message).flatMap((block): TranscriptEntry[] => {
    if (block.type === "text") {
      const text = asText(block.text) ?? "";
      return record.isApiErrorMessage === true ? [{ kind: "error", text }] : [{ kind: "text", text, ends }];
    }
    if (block.type !== "tool_use") return [];
    return [
      {
        kind: "tool-use",
        id: asText(block.id) ?? "",
        name: asText(block.name) ?? "",
        input: asRecord(block.input) ?? {},
      },
    ];
  });
}

/**
 * Which texts a stretch of transcript holds, by an id that stands in them: `taken` when it was given to the model,
 * `done` when the turn that had it ended, or a tool call answered it (`messageId`) since.
 */
export function findInputs(
  entries: Iterable<TranscriptEntry>,
  ids: readonly string[],
): Map<string, "taken" | "done"> {
  const found = new Map<string, "taken" | "done">();
  for (const entry of entries) {
    if (entry.kind === "input") {
      for (const id of ids)
        if (!found.has(id) && (entry.uuid === id || entry.text.includes(id))) found.set(id, "taken");
    } else if (entry.kind === "text" && entry.ends) {
      for (const id of found.keys()) found.set(id, "done");
    } else if (entry.kind === "tool-use") {
      const answered = asText(entry.input.messageId);
      if (answered !== undefined && found.has(answered)) found.set(answered, "done");
    }
  }
  return found;
}
