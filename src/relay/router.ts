/** From method and path to a row of the operation table. Built from the table, so a new row needs nothing here. */
import { limits } from "../limits.ts";
import { type OperationName, type OperationRow, operationTable } from "../wire/api.ts";

type Route = { name: OperationName; row: OperationRow; segments: readonly string[] };

/** found: the row, and the members of the request that the path holds. */
export type Match =
  | { status: "found"; name: OperationName; row: OperationRow; members: Record<string, string> }
  | { status: "wrong_method"; allow: string }
  | { status: "unknown" };

const routes: readonly Route[] = Object.entries(operationTable).map(([name, row]) => ({
  name: name as OperationName,
  row,
  segments: row.path.split("/"),
}));

/** The row for a method and a raw (still percent-encoded) path. */
export function route(method: string, path: string): Match {
  if (path.length > limits.pathBytesMax) return { status: "unknown" };
  const segments = path.split("/");
  const hits = routes.flatMap((candidate) => {
    const members = membersOf(candidate.segments, segments);
    return members === undefined ? [] : [{ ...candidate, members }];
  });
  const hit = hits.find(({ row }) => row.method === method);
  if (hit !== undefined) return { status: "found", name: hit.name, row: hit.row, members: hit.members };
  if (hits.length === 0) return { status: "unknown" };
  return { status: "wrong_method", allow: [...new Set(hits.map(({ row }) => row.method))].join(", ") };
}

function membersOf(
  pattern: readonly string[],
  segments: readonly string[],
): Record<string, string> | undefined {
  if (pattern.length !== segments.length) return undefined;
  const members: Record<string, string> = {};
  for (const [i, part] of pattern.entries()) {
    const segment = segments[i] ?? "";
    if (part.startsWith(":")) {
      const text = decoded(segment);
      if (text === undefined || text === "") return undefined;
      members[part.slice(1)] = text;
    } else if (part !== segment) return undefined;
  }
  return members;
}

function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
