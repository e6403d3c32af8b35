# A worker in Ruby, with an HTTP of its own:
#
#	fdproxy -l 127.0.0.1:8080 -r /=workers:/tmp/app.workers,flusher=none
#	ruby worker.rb /tmp/app.workers [name]
#
# It asks fdproxy for clients, and gives those that stay connected back, so that
# their next request is routed anew.  Each thread serves one client at a time,
# has a connection of its own to fdproxy, and promises to take one client on it.
require 'digest/md5'
require 'socket'
require 'timeout'

THREADS = 4
PATH, NAME = ARGV[0], ARGV[1] || File.basename($0)
$leaving = false

def response(method, target, address, body)
  text = "#{NAME} #{method} #{target} #{address}"
  text += " #{body.size} #{Digest::MD5.hexdigest(body)}" if method == 'POST'
  text + "\n"
end

def receive(client, size, flags = 0)
  part = client.recv(size, flags)
  part.nil? || part.empty? ? raise(EOFError) : part
end

# The head, and no byte more: what is behind it may be another worker's.
def receive_head(client)
  head = ''.b
  until head.end_with?("\r\n\r\n")
    seen = head + receive(client, 65_536, Socket::MSG_PEEK)
    last = seen.index("\r\n\r\n")
    head << receive(client, (last ? last + 4 : seen.size) - head.size)
    raise EOFError if head.size > 65_536
  end
  head
end

# Serve one request.  Whether the connection is kept.
def request(client)
  head = receive_head(client)
  head =~ %r{\A([!-~]+) ([!-~]+) HTTP/1\.([01])\r\n} or raise EOFError
  method, target, minor = $1, $2, $3
  lengths = head.scan(/^Content-Length:[ \t]*(.*?)[ \t]*\r$/i).flatten
  if head =~ /^Transfer-Encoding:/i || lengths.size > 1 ||
     lengths.any?(/\D|\A\z/)   # the end is not known
    client.write("HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\n" \
                 "Connection: close\r\n\r\n")
    return false
  end
  if head =~ /^Expect:/i && minor == '1'
    client.write("HTTP/1.1 100 Continue\r\n\r\n")
  end
  body, length = ''.b, lengths[0].to_i
  body << receive(client, [length - body.size, 65_536].min) while
    body.size < length
  options = head.scan(/^Connection:(.*)$/i).join(',')
  keep = !$leaving &&
         (minor == '1' ? options !~ /close/i : options =~ /keep-alive/i)
  address = client.remote_address
  text = response(method, target, address.ip? ? address.ip_address : 'local',
                  body)
  client.write("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" \
               "Content-Length: #{text.bytesize}\r\n" \
               "Connection: #{keep ? 'keep-alive' : 'close'}\r\n\r\n" \
               "#{text unless method == 'HEAD'}")
  keep
end

def serve(channel, client)
  if Timeout.timeout(30) { request(client) }
    begin       # all is written
      channel.sendmsg("\1\0", 0, nil,
                      Socket::AncillaryData.unix_rights(client))
      return    # without a shutdown; the NUL is the promise
    rescue SystemCallError      # we are leaving, or fdproxy has left
    end
  end
  client.shutdown(Socket::SHUT_WR)
  Timeout.timeout(3) { nil until client.recv(4096).to_s.empty? }
  promise(channel)
rescue SystemCallError, IOError, Timeout::Error # it has left, or says nothing
  promise(channel)
rescue StandardError => e
  warn e.full_message
  promise(channel)
ensure
  client.close
end

def promise(channel)
  channel.write("\0")
rescue SystemCallError, IOError # of its end, reading from it tells
end

# Until the end of the connection; whether there was any client.
def work(channel)
  served = false
  promise(channel)
  loop do
    byte, _, _, *controls = channel.recvmsg(1, scm_rights: true)
    return served if byte.to_s.empty?
    client = controls.filter_map(&:unix_rights).flatten[0]
    if client
      serve(channel, client)
      served = true
    else        # MSG_CTRUNC: no descriptor was free in here
      warn 'a client was lost'
      promise(channel)
    end
  end
rescue Errno::ECONNRESET        # an end as well
  served
end

channels = Array.new(THREADS)
left, leave = IO.pipe   # its end, which all see, says that we leave
threads = channels.each_index.map do |i|
  Thread.new do
    delay = 0.1
    until $leaving
      begin
        channels[i] = UNIXSocket.new(PATH)
        channels[i].shutdown(Socket::SHUT_WR) if $leaving
        delay = 0.1 if work(channels[i])
        channels[i].close
      rescue SystemCallError    # nobody is there
      end
      IO.select([left], nil, nil, delay * rand(0.5..1.5))
      delay = [2 * delay, 5].min
    end
  end
end
%w[TERM INT].each { |name| trap(name) { leave.close } }
left.read
$leaving = true
channels.compact.each do |channel|      # no more; what was sent is served
  channel.shutdown(Socket::SHUT_WR)
rescue SystemCallError, IOError
end
threads.each(&:join)
