// Names of acts that depend on the corpus: the classes.

/** The class that an act is about, by the order of the corpus; null for other acts. */
export function classOf(id: string, classes: readonly string[]): string | null {
  const place = /^class\.(\d+)$/.exec(id)?.[1];
  return place === undefined ? null : (classes[Number(place)] ?? null);
}

export function names(id: string, classes: readonly string[]): string | null {
  const name = classOf(id, classes);
  return name === null ? null : `Label ${name}`;
}
