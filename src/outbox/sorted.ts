/** Search in lists that are ascending by id. */

/** Where the item with this id is, or would be. */
export function placeOf<Item>(items: readonly Item[], id: number, idOf: (item: Item) => number): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (idOf(items[middle] as Item) < id) low = middle + 1;
    else high = middle;
  }
  return low;
}
