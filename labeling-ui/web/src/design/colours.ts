// The colour of a class, as a token, for drawings that are not styled by attributes.

const NAMES: Record<string, string> = {
  neutral: "neutral",
  happiness: "happy",
  happy: "happy",
  sadness: "sad",
  sad: "sad",
  surprise: "surprise",
  fear: "fear",
  disgust: "disgust",
  anger: "anger",
  angry: "anger",
  contempt: "contempt",
};

/** Fills of areas that are hatched, so that they are told apart without colour: see Hatches.svelte. */
export const HATCHED = { two: "url(#hatch-two)", pseudo: "url(#hatch-pseudo)" } as const;

export function colourOf(expression: string): string {
  return `var(--c-${NAMES[expression] ?? "other"})`;
}
