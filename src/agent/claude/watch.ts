/** Follows a transcript while its session runs: a look now and then, and at every hook. */
import type { SessionOptions } from "../session.ts";
import { tailFile } from "../tail.ts";
import { type TranscriptEntry, transcriptEntries } from "./transcript.ts";

export type Watch = {
  /** Reads what has come since the last look. */
  look(): void;
  close(): void;
};

/** Tells the entries that are appended from now on. A transcript that cannot be read is tried again at the next look. */
export function watchTranscript(
  path: string,
  onEntry: (entry: TranscriptEntry) => void,
  { clock, limits, log }: Pick<SessionOptions, "clock" | "limits" | "log">,
): Watch {
  const tail = tailFile(path, "end", limits.transcriptPieceBytes);
  let cancel = () => {};
  const look = () => {
    try {
      do for (const line of tail.read() ?? []) transcriptEntries(line).forEach(onEntry);
      while (!tail.atEnd);
    } catch (error) {
      log.warn("The transcript was not read", { error });
    }
  };
  const again = () => {
    cancel = clock.after(limits.transcriptPollMs, () => {
      look();
      again();
    });
  };
  look();
  again();
  return {
    look,
    close() {
      cancel();
      tail.close();
    },
  };
}
