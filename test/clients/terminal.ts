/** A person's terminal: tmux in a server of its own, whose screen can be read and whose keys can be pressed. */
import { join } from "node:path";

export type Terminal = {
  screen(): string;
  /** Types it, and Enter. */
  type(text: string): Promise<void>;
  write(text: string): void;
  press(key: string): void;
  resize(columns: number, rows: number): void;
  /** What a program may have changed of the terminal and is to put back, as one text. */
  modes(): string;
  /** Process numbers of what runs in it. */
  pids(): number[];
  close(): void;
};

/** The line settings come from `stty`; other screen, mouse, cursor and keypad from the terminal itself. */
const modeFormat =
  "#{pane_tty} #{alternate_on} #{mouse_any_flag} #{cursor_flag} #{keypad_cursor_flag} #{keypad_flag}";

/** A shell with job control; its prompt begins with the exit code of what ran last. */
export const shellCommand = ["bash", "--norc", "--noprofile", "-i"] as const;
export const shellPrompt = "[$?] $ ";

/** The exit code at the shell's prompt; undefined while something runs in front of it. */
export function codeAtPrompt(terminal: Pick<Terminal, "screen">): number | undefined {
  const last = terminal.screen().trimEnd().split("\n").at(-1) ?? "";
  const found = /^\[(\d+)\] \$$/.exec(last)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** Starts a command in a new terminal; when it ends, the screen stays and shows its exit code. */
export function openTerminal(options: {
  folder: string;
  name: string;
  command: readonly string[];
  cwd: string;
  env: Readonly<Record<string, string>>;
  size?: { columns: number; rows: number };
}): Terminal {
  const { folder, name, command, cwd, env, size = { columns: 140, rows: 45 } } = options;
  const socket = join(folder, `tmux-${name}`);
  const tmux = (...args: string[]) => {
    const done = Bun.spawnSync(["tmux", "-S", socket, ...args], { env: { ...env }, stdin: "ignore" });
    return done.stdout.toString();
  };
  const setting = Object.entries(env).map(([key, value]) => `${key}=${value}`);
  const shell = '"$@"; echo "ended with $?"; exec sleep 600';
  tmux(
    ...["new-session", "-d", "-s", "t", "-c", cwd, "-x", String(size.columns), "-y", String(size.rows)],
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
    write: (text) => void tmux("send-keys", "-t", "t", "-l", text),
    press: (key) => void tmux("send-keys", "-t", "t", key),
    resize: (columns, rows) =>
      void tmux("resize-window", "-t", "t", "-x", String(columns), "-y", String(rows)),
    modes() {
      const [tty = "", ...flags] = tmux("display-message", "-p", "-t", "t", modeFormat).trim().split(" ");
      return [Bun.spawnSync(["stty", "-g", "-F", tty]).stdout.toString().trim(), ...flags].join(" ");
    },
    pids: () => tmux("list-panes", "-F", "#{pane_pid}").split("\n").filter(Boolean).map(Number),
    close: () => void tmux("kill-server"),
  };
}
