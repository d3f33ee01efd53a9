// Whether mongod does its work: `mongosh --quiet --file health.js`, exit code 0 or 1. Needs no user.
//
// A ping is not enough: a server that belongs to no set, and a member without a primary, answer it as well. Before the
// set is initiated the server is well when it waits for that, because mongo-init waits for a server that is well.

const hello = db.hello();
quit(hello.isreplicaset || hello.isWritablePrimary || hello.secondary ? 0 : 1);
