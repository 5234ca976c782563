// The faces ahead, decoded before they are needed: a swap then costs one frame.

import { imageUrl, isImageAnswered } from "../api/calls.ts";

/** After how long a picture that nobody answered for is asked for again, in milliseconds. */
const AGAIN = 2000;

export interface Picture {
  faceId: string;
  state: "loading" | "ready" | "failed";
  width: number;
  height: number;
}

type Tell = (picture: Picture) => void;

interface Held {
  image: HTMLImageElement;
  picture: Picture;
}

export class Images {
  private held = new Map<string, Held>();

  constructor(private tell: Tell) {}

  get(faceId: string): Picture | undefined {
    return this.held.get(faceId)?.picture;
  }

  /** Holds these faces and lets go of all others. */
  hold(faceIds: string[]): void {
    for (const faceId of this.held.keys()) if (!faceIds.includes(faceId)) this.held.delete(faceId);
    for (const faceId of faceIds) if (!this.held.has(faceId)) this.load(faceId);
  }

  /** Tries again. */
  retry(faceId: string): void {
    this.held.delete(faceId);
    this.load(faceId);
  }

  private load(faceId: string): void {
    const image = new Image();
    const picture: Picture = { faceId, state: "loading", width: 0, height: 0 };
    this.held.set(faceId, { image, picture });
    image.src = imageUrl(faceId);
    const end = (state: "ready" | "failed") => {
      // Let go of meanwhile, or asked for again.
      if (this.held.get(faceId)?.image !== image) return;
      const done = { ...picture, state, width: image.naturalWidth, height: image.naturalHeight };
      this.held.set(faceId, { image, picture: done });
      this.tell(done);
    };
    image.decode().then(
      () => end("ready"),
      async () => {
        // A browser says only that there is no picture, not why. While the server is away nothing is wrong with the
        // face.
        if (await isImageAnswered(faceId)) end("failed");
        else setTimeout(() => this.held.get(faceId)?.image === image && this.load(faceId), AGAIN);
      },
    );
  }
}
