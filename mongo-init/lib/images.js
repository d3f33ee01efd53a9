// Pre- and post-images: MongoDB then keeps each document as it was before and after a change.
//
// The replicator does not need them: it reads documents at the time of their change. Other readers of change streams may.

function enableImages(database) {
  let enabled = 0;
  for (const { name } of database.getCollectionInfos({ type: "collection" })) {
    if (!name.startsWith("system.")) {
      database.runCommand({ collMod: name, changeStreamPreAndPostImages: { enabled: true } });
      enabled += 1;
    }
  }
  return `on for the ${enabled} collections that exist`;
}
