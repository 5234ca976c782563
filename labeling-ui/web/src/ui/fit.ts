// At what size a face stands in its box.

export interface Shown {
  width: number;
  height: number;
  /** Whether single pixels can be told apart. */
  isPixels: boolean;
}

/** A whole multiple of a small picture, so that its pixels stay square; a larger one is made to fit. */
export function shownIn(box: number, picture: { width: number; height: number }): Shown | null {
  const longest = Math.max(picture.width, picture.height);
  if (box <= 0 || longest <= 0) return null;
  const isPixels = longest * 2 <= box;
  const scale = isPixels ? Math.floor(box / longest) : box / longest;
  return { width: picture.width * scale, height: picture.height * scale, isPixels };
}
