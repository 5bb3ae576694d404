/** A person's terminal: tmux in a server of its own, whose screen can be read and whose keys can be pressed. */
import { join } from "node:path";

export type Terminal = {
  screen(): string;
  type(text: string): Promise<void>;
  press(key: string): void;
  resize(columns: number, rows: number): void;
  /** Process numbers of what runs in it. */
  pids(): number[];
  close(): void;
};

/** Starts a command in a new terminal; when it ends, the screen stays and shows its exit code. */
export function openTerminal(options: {
  folder: string;
  name: string;
  command: readonly string[];
  cwd: string;
  env: Readonly<Record<string, string>>;
}): Terminal {
  const { folder, name, command, cwd, env } = options;
  const socket = join(folder, `tmux-${name}`);
  const tmux = (...args: string[]) => {
    const done = Bun.spawnSync(["tmux", "-S", socket, ...args], { env: { ...env }, stdin: "ignore" });
    return done.stdout.toString();
  };
  const setting = Object.entries(env).map(([key, value]) => `${key}=${value}`);
  const shell = '"$@"; echo "ended with $?"; exec sleep 600';
  tmux(
    ...["new-session", "-d", "-s", "t", "-x", "140", "-y", "45", "-c", cwd],
    ...["env", "-i", ...setting, "sh", "-c", shell, "sh", ...command],
  );
  return {
    screen: () => tmux("capture-pane", "-p", "-t", "t"),
    async type(text) {
      tmux("send-keys", "-t", "t", "-l", text);
      // A terminal program takes keys that come at once for a paste.
      await Bun.sleep(400);
      tmux("send-keys", "-t", "t", "Enter");
    },
    press: (key) => void tmux("send-keys", "-t", "t", key),
    resize: (columns, rows) =>
      void tmux("resize-window", "-t", "t", "-x", String(columns), "-y", String(rows)),
    pids: () => tmux("list-panes", "-F", "#{pane_pid}").split("\n").filter(Boolean).map(Number),
    close: () => void tmux("kill-server"),
  };
}
