/** Chance of one simulated world: every part draws from a stream of its own, so that one does not shift another. */
import { type Random, seededRandom } from "../../src/base/random.ts";

export type Chance = Random & {
  /** True with this probability. */
  is(probability: number): boolean;
  /** A number from `from` up to, not including, `to`. */
  between(from: number, to: number): number;
  /** A whole number from 0 up to, not including, `count`. */
  below(count: number): number;
  /** One of the values. */
  of<Value>(values: readonly [Value, ...Value[]]): Value;
  /** Mostly short, at times long: ms around `mean`. */
  wait(mean: number): number;
};

/** The stream of this name in this world. */
export function chanceOf(seed: number, name: string): Chance {
  const random = seededRandom(Number(Bun.hash.wyhash(`${seed}/${name}`) & 0xffff_ffffn));
  const { fraction } = random;
  return {
    ...random,
    is: (probability) => fraction() < probability,
    between: (from, to) => from + fraction() * (to - from),
    below: (count) => Math.floor(fraction() * count),
    of: (values) => values[Math.floor(fraction() * values.length)] ?? values[0],
    wait: (mean) => -mean * Math.log(1 - fraction()),
  };
}
