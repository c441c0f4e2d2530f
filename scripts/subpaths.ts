import { existsSync, readdirSync } from 'node:fs';

/** The rooms of src whose folders may be subpaths of the package. */
const ROOMS = ['src', 'src/policies', 'src/workers'];

/** Each subpath of the package and the file it is built from: a folder of a room with an index.ts. */
export function subpaths(root = '.'): Record<string, string> {
  return Object.fromEntries(
    ROOMS.flatMap((room) =>
      readdirSync(`${root}/${room}`)
        .filter((folder) => existsSync(`${root}/${room}/${folder}/index.ts`))
        .map((folder) => [folder, `${room}/${folder}/index.ts`]),
    ),
  );
}
