/**
 * Room on the disk: how much is free, and a file of zeros that is given up when there is none, because removing what
 * was delivered needs space too. While it is gone nothing new is taken.
 */
import { closeSync, existsSync, fsyncSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";

/** What is asked of the disk under a folder. */
export type Disk = {
  /** Bytes that a program of this user may still take. */
  freeBytes(dir: string): number;
};

export const realDisk: Disk = {
  freeBytes(dir) {
    const { bavail, bsize } = statfsSync(dir);
    return bavail * bsize;
  },
};

/** The reserve file of an outbox folder. */
export function reserveFileOf(dir: string): string {
  return join(dir, "outbox.reserve");
}

export type RoomLimits = { freeBytesMin: number; reserveBytes: number };

/** The room of one open store. */
export class Room {
  readonly #dir: string;
  readonly #limits: RoomLimits;
  readonly #disk: Disk;
  /** The reserve was given up and is not back. */
  #spent = false;

  constructor(dir: string, limits: RoomLimits, disk: Disk) {
    this.#dir = dir;
    this.#limits = limits;
    this.#disk = disk;
  }

  /** Free bytes when they are too few for a new write, else undefined. */
  shortage(): number | undefined {
    const free = this.#disk.freeBytes(this.#dir);
    return free < this.#limits.freeBytesMin || (this.#spent && !this.restore()) ? free : undefined;
  }

  /** Gives the reserve up; true when there was one. */
  spend(): boolean {
    const path = reserveFileOf(this.#dir);
    if (!existsSync(path)) return false;
    rmSync(path);
    this.#spent = true;
    return true;
  }

  /** Writes the reserve when it is not there and there is room for it; true when it is there. */
  restore(): boolean {
    const { freeBytesMin, reserveBytes } = this.#limits;
    const path = reserveFileOf(this.#dir);
    if (reserveBytes === 0 || existsSync(path)) {
      this.#spent = false;
      return true;
    }
    if (this.#disk.freeBytes(this.#dir) < freeBytesMin + reserveBytes) return false;
    try {
      writeZeros(path, reserveBytes);
      this.#spent = false;
    } catch {
      // Without it a full disk is only met earlier.
      rmSync(path, { force: true });
    }
    return existsSync(path);
  }
}

function writeZeros(path: string, bytes: number): void {
  const handle = openSync(path, "wx", 0o600);
  try {
    const zeros = Buffer.alloc(Math.min(bytes, 1 << 20));
    for (let left = bytes; left > 0; left -= zeros.length)
      writeSync(handle, zeros, 0, Math.min(left, zeros.length));
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
