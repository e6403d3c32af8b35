-- A backend in Haskell, with network.  It answers every client with one line:
--
--	ghc -o backend backend.hs && ./backend /tmp/app.sock
--	fdproxy -l 127.0.0.1:8080 -r /=/tmp/app.sock
import Control.Concurrent (forkIO, threadDelay)
import Control.Exception (IOException, bracket, catch, finally)
import Control.Monad (forever, unless, void, when)
import Network.Socket
import Network.Socket.ByteString (recv, sendAll)
import qualified Data.ByteString.Char8 as B
import System.Directory (removePathForcibly)
import System.Environment (getArgs)
import System.IO (hPrint, stderr)
import System.Timeout (timeout)

-- The body alone, and its end; then what nobody has read, for a while.
serve :: Socket -> IO ()
serve client = do
  sendAll client (B.pack "Hello from Haskell.\n")
  shutdown client ShutdownSend
  void (timeout 5000000 unread)
  where
    unread = do
      bytes <- recv client 4096
      unless (B.null bytes) unread

-- A probe ends without a message; for that, and if no descriptor was free in
-- here, recvFd says -1.
receive :: Socket -> IO ()
receive conn = do
  fd <- recvFd conn `finally` close conn
  when (fd >= 0) $ bracket (mkSocket fd) close serve

-- A client that has gone, or no descriptor for another.
attempt :: IO () -> IO ()
attempt action = action `catch` \e -> do
  hPrint stderr (e :: IOException)
  threadDelay 100000

main :: IO ()
main = do
  [path] <- getArgs
  removePathForcibly path
  listener <- socket AF_UNIX Stream defaultProtocol
  bind listener (SockAddrUnix path)
  listen listener 128
  forever $ attempt $ do
    (conn, _) <- accept listener
    void (forkIO (attempt (receive conn)))
